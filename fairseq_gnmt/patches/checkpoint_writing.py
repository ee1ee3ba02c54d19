"""Atomic writing of checkpoints, and a lock on the folder of a training run.

fairseq writes a checkpoint under a temporary name and renames it. It then copies the file byte by byte to
checkpoint_last.pt and checkpoint_best.pt; a training run that is killed during the copy cannot resume. After a failed
attempt it appends to the partial file, and after an interruption it leaves its temporary file behind.
"""

import shutil
import time
from pathlib import Path
from typing import Any, Dict, Optional

import torch
from fairseq import checkpoint_utils
from fairseq.file_io import PathManager

from gnmt.errors import UserError
from gnmt.files.locks import FolderLock, lock_folder
from gnmt.files.outputs import atomic_outputs, remove_abandoned

BYTES_PER_PARAMETER = 3 * 4  # float32: the parameter and both moments of Adam
CHECKPOINTS = 2  # checkpoint of an epoch and its copy
ATTEMPTS = 3  # as in fairseq: a network disk may fail temporarily
PAUSE_SECONDS = 2.5
GO_ON = "Then run the same command again: it continues from the last complete checkpoint."


def write_checkpoints_whole() -> None:
    """Makes checkpoints and their copies appear under their names only when they are complete."""
    fairseq_save, fairseq_copy = checkpoint_utils.torch_persistent_save, PathManager.copy

    def save_whole(obj: Any, filename: str, async_write: bool = False) -> None:
        if async_write or not PathManager.supports_rename(filename):  # remote storage
            fairseq_save(obj, filename, async_write)
        else:
            _write(Path(filename), lambda file: torch.save(obj, file))

    def copy_whole(src_path: str, dst_path: str, overwrite: bool = False) -> bool:
        if not PathManager.supports_rename(dst_path):
            return fairseq_copy(src_path, dst_path, overwrite)
        _write(Path(dst_path), lambda file: shutil.copyfile(src_path, file.name))
        return True

    checkpoint_utils.torch_persistent_save = save_whole
    PathManager.copy = staticmethod(copy_whole)


def _write(path: Path, write) -> None:
    """Writes a complete file, in several attempts.

    A link is replaced: checkpoint_last.pt may be a link to a checkpoint of another training run, which must not change.

    Raises:
        UserError: if the last attempt fails.
    """
    for attempts_left in reversed(range(ATTEMPTS)):
        try:
            with atomic_outputs([path], inputs=[], overwrite=True, follow_links=False) as (file,):
                write(file)
            return
        except UserError as error:  # a full disk
            raise UserError(f"{error} {GO_ON}") from error
        except OSError as error:
            if not attempts_left:
                raise UserError(f"{path} could not be written ({error.strerror}): check its disk. {GO_ON}") from error
            time.sleep(PAUSE_SECONDS)


def lock_save_dir() -> None:
    """Makes fairseq-train lock its --save-dir, in the first process of a training run, when it checks the folder."""
    verify = checkpoint_utils.verify_checkpoint_directory
    locks: Dict[Path, Optional[FolderLock]] = {}  # held until this process ends

    def verify_and_lock(save_dir: str) -> None:
        verify(save_dir)
        folder = Path(save_dir).resolve()
        if folder not in locks:  # hydra may run several training runs in one process
            locks[folder] = lock_folder(folder)
            remove_abandoned(folder)

    checkpoint_utils.verify_checkpoint_directory = verify_and_lock


def check_disk_space(save_dir: str, parameters: int) -> None:
    """Checks that two checkpoints of a model with this number of parameters fit on the disk of save_dir.

    Raises:
        UserError: if they do not fit.
    """
    folder = Path(save_dir).absolute()
    while not folder.exists():  # fairseq creates the folder later
        folder = folder.parent
    free, required = shutil.disk_usage(folder).free, CHECKPOINTS * BYTES_PER_PARAMETER * parameters
    if free < required:
        raise UserError(
            f"{folder} has {free / 1e9:.3f} GB free, but {CHECKPOINTS} checkpoints take {required / 1e9:.3f} GB: "
            "make room, or give another --save-dir."
        )
