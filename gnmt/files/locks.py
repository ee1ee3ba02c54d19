"""Locks of folders, so that two processes never write to the same folder.

The lock is `flock` on DIR/.lock. The operating system releases the lock when the process that holds it ends in any way.
The file remains, with the process id and the host of the last holder. A shell script takes the same lock with `flock`.
The commands of the script find the folder in GNMT_LOCKED_FOLDER and take no lock of their own.
"""

import errno
import fcntl
import logging
import os
import socket
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, Optional

from gnmt.errors import UserError

NAME = ".lock"
LOCKED_BY_PARENT = "GNMT_LOCKED_FOLDER"  # environment variable that examples/environment.sh sets

logger = logging.getLogger(__name__)


class FolderLock:
    """Lock of a folder, held until `release` or until the process ends; forked children do not hold it."""

    def __init__(self, descriptor: int):
        self._descriptor: Optional[int] = descriptor
        os.register_at_fork(after_in_child=self.release)

    def release(self) -> None:
        """Closes this process's descriptor; in a forked child the parent keeps the lock."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def lock_folder(folder: Path) -> Optional[FolderLock]:
    """Locks an existing folder.

    Returns:
        The lock, or None if a script that runs this process holds it. Also None, with a warning, if the folder or its
        file system does not support locks.

    Raises:
        UserError: if another process holds the lock; the message names its process id and host. Also if the file of
            the lock is a link.
    """
    if os.environ.get(LOCKED_BY_PARENT) == str(folder.resolve()):
        return None
    path = folder / NAME
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise UserError(f"{path} is a link, and its target would be overwritten: remove the link.") from error
        logger.warning(
            "%s cannot be locked (%s): make sure that no other process writes to it.", folder, error.strerror
        )
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
    except BlockingIOError as error:
        os.close(descriptor)
        raise UserError(
            f"{folder} is in use by {_holder(path)}: wait until it ends, or give another folder."
        ) from error
    except OSError as error:
        os.close(descriptor)
        logger.warning(
            "%s cannot be locked (%s): make sure that no other process writes to it.", folder, error.strerror
        )
        return None
    return FolderLock(descriptor)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds the lock of `lock_folder` on an existing folder during the block."""
    lock = lock_folder(folder)
    try:
        yield
    finally:
        if lock is not None:
            lock.release()


def _holder(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip() or "another process"
    except OSError:
        return "another process"
