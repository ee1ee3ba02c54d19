"""Every change that the plugin makes to fairseq, torch or the interpreter, with its reason; `apply` makes all of them."""
from fairseq_gnmt import errors
from fairseq_gnmt.patches.bleu_warning import drop_false_bleu_warning
from fairseq_gnmt.patches.checkpoint_reading import allow_fairseq_checkpoints
from fairseq_gnmt.patches.checkpoint_writing import copy_checkpoints_whole
from fairseq_gnmt.patches.options import check_options_first
from fairseq_gnmt.patches.validation_subsets import compare_subsets_by_name


def apply() -> None:
    """Applies every patch; the plugin calls it once, before it registers anything."""
    allow_fairseq_checkpoints()
    copy_checkpoints_whole()
    drop_false_bleu_warning()
    check_options_first()
    compare_subsets_by_name()
    errors.install_hook()
