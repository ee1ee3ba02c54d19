"""Every change that the plugin makes to fairseq, torch or the interpreter, with its reason; `apply` makes all of them."""
from fairseq_gnmt import errors
from fairseq_gnmt.patches.checkpoint_reading import allow_fairseq_checkpoints
from fairseq_gnmt.patches.checkpoint_writing import lock_save_dir, write_checkpoints_whole
from fairseq_gnmt.patches.processes import prepare_commands


def apply() -> None:
    """Applies every patch; the plugin calls it once, before it registers anything."""
    prepare_commands()
    allow_fairseq_checkpoints()
    write_checkpoints_whole()
    lock_save_dir()
    errors.install_hook()
