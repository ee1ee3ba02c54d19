"""All changes that the plugin makes to fairseq, torch or the interpreter, with reasons; `apply` makes all of them."""

from fairseq_gnmt import errors
from fairseq_gnmt.optim.bmuf import install_resumable_bmuf
from fairseq_gnmt.patches.asynchronous import enable_asynchronous_training
from fairseq_gnmt.patches.bfloat16 import allow_bfloat16_without_tpu, keep_weights_in_float32_on_cpus
from fairseq_gnmt.patches.checkpoint_reading import read_checkpoints_as_data
from fairseq_gnmt.patches.checkpoint_writing import lock_save_dir, write_checkpoints_whole
from fairseq_gnmt.patches.data_parallel import wrap_models_where_they_are
from fairseq_gnmt.patches.data_reading import check_data_when_read
from fairseq_gnmt.patches.generate import write_complete_results
from fairseq_gnmt.patches.half_precision import keep_weights_apart_on_cpus, save_whole_state_of_half_precision
from fairseq_gnmt.patches.interactive import answer_every_line
from fairseq_gnmt.patches.line_reading import read_lines_as_the_core
from fairseq_gnmt.patches.literals import evaluate_literals_only
from fairseq_gnmt.patches.messages import hide_messages_of_libraries
from fairseq_gnmt.patches.options import check_options_first
from fairseq_gnmt.patches.processes import prepare_commands
from fairseq_gnmt.patches.resuming import check_state_when_resuming
from fairseq_gnmt.patches.trainers import choose_trainers
from fairseq_gnmt.patches.validation_subsets import compare_subsets_by_name


def apply() -> None:
    """Applies all patches; the plugin calls it once, before it registers anything.

    Patches that replace the `main` function of a command come before patches that wrap it.
    """
    hide_messages_of_libraries()
    answer_every_line()
    write_complete_results()
    prepare_commands()
    read_checkpoints_as_data()
    evaluate_literals_only()
    check_data_when_read()
    check_state_when_resuming()
    write_checkpoints_whole()
    lock_save_dir()
    read_lines_as_the_core()
    compare_subsets_by_name()
    allow_bfloat16_without_tpu()
    keep_weights_in_float32_on_cpus()
    save_whole_state_of_half_precision()
    keep_weights_apart_on_cpus()
    install_resumable_bmuf()
    choose_trainers()
    wrap_models_where_they_are()
    enable_asynchronous_training()
    check_options_first()
    errors.install_hook()
