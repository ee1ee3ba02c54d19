"""Every change that the plugin makes to fairseq, torch or the interpreter, with its reason; `apply` makes all of them."""
from fairseq_gnmt import errors
from fairseq_gnmt.patches.bfloat16 import allow_bfloat16_without_tpu
from fairseq_gnmt.patches.checkpoint_reading import allow_fairseq_checkpoints
from fairseq_gnmt.patches.checkpoint_writing import copy_checkpoints_whole
from fairseq_gnmt.patches.half_precision import save_whole_state_of_half_precision


def apply() -> None:
    """Applies every patch; the plugin calls it once, before it registers anything."""
    allow_fairseq_checkpoints()
    copy_checkpoints_whole()
    allow_bfloat16_without_tpu()
    save_whole_state_of_half_precision()
    errors.install_hook()
