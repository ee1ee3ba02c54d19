"""Lets a training leave only whole checkpoints behind, also when it is killed or the disk is small.

fairseq writes a checkpoint under a temporary name and moves it into place, but then copies it to
checkpoint_last.pt and checkpoint_best.pt byte by byte: killed there, it could not resume by itself.
"""
import shutil
from pathlib import Path

from fairseq.file_io import PathManager

from gnmt.errors import UserError

BYTES_PER_PARAMETER = 3 * 4  # float32: the parameter and both moments of Adam
CHECKPOINTS = 2  # that of an epoch and its copy


def copy_checkpoints_whole() -> None:
    """Makes fairseq's copies appear under their name only once they are complete."""
    copy = PathManager.copy

    def copy_whole(src_path: str, dst_path: str, overwrite: bool = False) -> bool:
        if not PathManager.supports_rename(dst_path):  # remote storage has its own ways
            return copy(src_path, dst_path, overwrite)
        partial = dst_path + ".tmp"
        copied = copy(src_path, partial, overwrite=True)
        PathManager.rename(partial, dst_path)
        return copied

    PathManager.copy = staticmethod(copy_whole)


def check_disk_space(save_dir: str, parameters: int) -> None:
    """Raises UserError unless two checkpoints of a model of so many parameters fit on the disk of save_dir."""
    folder = Path(save_dir).absolute()
    while not folder.exists():  # fairseq makes it later
        folder = folder.parent
    free, wanted = shutil.disk_usage(folder).free, CHECKPOINTS * BYTES_PER_PARAMETER * parameters
    if free < wanted:
        raise UserError(
            f"{folder} has {free / 1e9:.3f} GB free, but {CHECKPOINTS} checkpoints take {wanted / 1e9:.3f} GB: "
            "make room, or give another --save-dir."
        )
