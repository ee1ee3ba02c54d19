"""Every change that the plugin makes to fairseq, torch or the interpreter, with its reason; `apply` makes all of them."""
from fairseq_gnmt import errors
from fairseq_gnmt.patches.checkpoint_reading import read_checkpoints_as_data
from fairseq_gnmt.patches.checkpoint_writing import copy_checkpoints_whole
from fairseq_gnmt.patches.data_reading import check_data_when_read
from fairseq_gnmt.patches.hydra_errors import raise_errors_through_hydra
from fairseq_gnmt.patches.resuming import check_state_when_resuming


def apply() -> None:
    """Applies every patch; the plugin calls it once, before it registers anything."""
    read_checkpoints_as_data()
    copy_checkpoints_whole()
    check_data_when_read()
    check_state_when_resuming()
    raise_errors_through_hydra()
    errors.install_hook()
