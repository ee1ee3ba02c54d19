"""Lets a killed training leave only whole checkpoints behind.

fairseq writes a checkpoint under a temporary name and moves it into place, but then copies it to
checkpoint_last.pt and checkpoint_best.pt byte by byte: killed there, it could not resume by itself.
"""
from fairseq.file_io import PathManager


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
