"""Every change that the plugin makes to fairseq, torch or the interpreter, with its reason; `apply` makes all of them."""
from fairseq_gnmt import errors
from fairseq_gnmt.patches.checkpoint_reading import allow_fairseq_checkpoints
from fairseq_gnmt.patches.checkpoint_writing import copy_checkpoints_whole
from fairseq_gnmt.patches.options import check_options_first


def apply() -> None:
    """Applies every patch; the plugin calls it once, before it registers anything."""
    allow_fairseq_checkpoints()
    copy_checkpoints_whole()
    check_options_first()
    errors.install_hook()
