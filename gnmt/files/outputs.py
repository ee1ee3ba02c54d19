"""Output files that appear under their names only when they are complete.

A regular file is written under a hidden name in the same folder, `.NAME.PID.partial`, and then renamed. A run that is
interrupted or fails keeps the old file; a run that is killed (kill -9) also leaves its partial file. Each partial file
is locked by its writer, so a later run recognises and removes abandoned partial files.

The data is flushed to the disk (fsync) before the rename. Otherwise a power failure soon afterwards could leave the new
name without data, and no old file. The folder is not synchronised: without the rename the old file is still complete.
"""

import errno
import fcntl
import logging
import os
import re
import select
import shutil
import signal
import stat
import sys
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Iterator, List, Optional, Sequence

from gnmt.errors import UserError

DISK_IS_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
PARTIAL_NAME = re.compile(r"\..+\.[0-9]+\.partial")
STANDARD_STREAMS = (1, 2)  # file descriptors of stdout and stderr

logger = logging.getLogger(__name__)


@dataclass
class _Output:
    """Open output; an output without a partial file is written directly."""

    file: BinaryIO
    final: Path
    partial: Optional[Path] = None


@contextmanager
def atomic_outputs(
    paths: Sequence[Path], *, inputs: Sequence[Path], overwrite: bool, follow_links: bool = True
) -> Iterator[List[BinaryIO]]:
    """Opens files that appear under their names, in the given order, only if the block succeeds.

    Missing folders are created. Pipes (FIFOs), terminals, `/dev/stdout` and other character devices are written
    directly, with or without `overwrite`. Block devices and sockets are refused.

    Args:
        paths: files to write.
        inputs: files in use, which cannot be outputs.
        overwrite: replace existing regular files.
        follow_links: replace the target of a symbolic link; otherwise the link is replaced.

    Raises:
        UserError: before anything is written, if an output exists (unless `overwrite`), is one of `inputs` or is not a
            file, or if its folder cannot be written. Later, if the disk is full or a pipe has no reader.
    """
    _check_paths(paths, inputs, overwrite)
    outputs: List[_Output] = []
    try:
        for path in paths:
            final = Path(os.path.realpath(path)) if follow_links else Path(os.path.realpath(path.parent), path.name)
            if special := _open_special(path):  # may wait for the reader of a pipe
                outputs.append(special)
            else:
                with uninterrupted():  # a signal between opening and appending would leave the partial file
                    outputs.append(_open_partial(final))
        try:
            yield [output.file for output in outputs]
            for output in outputs:
                _write_out(output)
        except (OSError, RuntimeError) as error:
            if explained := _explained(error, outputs):
                raise explained from error
            raise
        with uninterrupted():
            for output in outputs:
                if output.partial:
                    output.partial.replace(output.final)
                    output.partial = None
    finally:
        with uninterrupted():
            for output in outputs:
                _discard(output)


def remove_abandoned(folder: Path) -> None:
    """Removes the partial files of a folder that no running process writes, and logs each removal."""
    for path in folder.glob(".*.partial"):
        if not PARTIAL_NAME.fullmatch(path.name):
            continue
        with suppress(OSError), open(path, "rb") as file:  # OSError: the file is being written or has just been renamed
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _names(path, file):
                path.unlink()
                logger.warning("%s was removed: the process that wrote it was killed before it was complete.", path)


def reader_is_gone(descriptor: int) -> bool:
    """Returns True if a descriptor is the writing end of a pipe without a reader."""
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0))


def _check_paths(paths: Sequence[Path], inputs: Sequence[Path], overwrite: bool) -> None:
    if len({os.path.realpath(path) for path in paths}) < len(paths):
        raise UserError(f"Two outputs share the name {paths[0]}: give them different names.")
    for path in paths:
        if path.is_dir():
            raise UserError(f"{path} is a folder: give the name of a file.")
        if path.is_block_device() or path.is_socket():
            raise UserError(f"{path} is a disk or a socket, not a file: choose another output.")
        if any(path.exists() and path.samefile(source) for source in inputs):
            raise UserError(f"{path} is an input too: choose another output.")
        if path.is_file() and not overwrite and _standard_stream(path) is None:
            raise UserError(f"{path} exists: choose another output, or replace it with --overwrite.")


def _standard_stream(path: Path) -> Optional[int]:
    """Returns the descriptor of stdout or stderr if the path names the same file, as /dev/stdout does."""
    for descriptor in STANDARD_STREAMS:
        with suppress(OSError):  # the path does not exist or the stream is closed
            if os.path.samestat(os.stat(path), os.fstat(descriptor)):
                return descriptor
    return None


def _open_special(path: Path) -> Optional[_Output]:
    """Opens an output that cannot be replaced: stdout, stderr, a pipe or a character device; None for other paths."""
    descriptor = _standard_stream(path)
    if descriptor is not None:  # opening the stream by name would overwrite its beginning
        if sys.stdout is not None:
            sys.stdout.flush()
        return _Output(os.fdopen(os.dup(descriptor), "wb"), path)
    if not path.is_fifo() and not path.is_char_device():
        return None
    try:
        return _Output(open(path, "wb"), path)
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}): choose another output.") from error


def _open_partial(final: Path) -> _Output:
    """Opens and locks the hidden file that will replace `final`; it has the permissions of an existing file."""
    partial = final.with_name(f".{final.name}.{os.getpid()}.partial")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(final.parent)
        while True:
            file = open(partial, "wb")
            with suppress(OSError):  # the file system has no locks
                fcntl.flock(file, fcntl.LOCK_EX)
            if _names(partial, file):
                break
            file.close()  # another process removed the file as abandoned before it was locked
        with suppress(OSError):  # no existing file, or no permissions in the file system
            shutil.copymode(final, partial)
    except OSError as error:
        raise UserError(f"Cannot write to the folder {final.parent} ({error.strerror}): choose another.") from error
    return _Output(file, final, partial)


def _names(path: Path, file: BinaryIO) -> bool:
    """Returns True if a path leads to an open file."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _write_out(output: _Output) -> None:
    """Flushes everything to the disk or the reader; a full disk causes an error at the latest here."""
    output.file.flush()
    if stat.S_ISREG(os.fstat(output.file.fileno()).st_mode):
        os.fsync(output.file.fileno())


def _explained(error: Exception, outputs: Sequence[_Output]) -> Optional[UserError]:
    """Returns the UserError for a full disk or a pipe without a reader; None for any other error.

    Args:
        error: error during the writing of outputs.
        outputs: open outputs.
    """
    reason = error if isinstance(error, OSError) else error.__context__  # torch.save wraps the error in its own
    if not isinstance(reason, OSError):
        return None
    if reason.errno in DISK_IS_FULL:
        return UserError(f"{outputs[0].final} could not be written ({reason.strerror}): make room on its disk.")
    if isinstance(reason, BrokenPipeError):
        for output in outputs:
            if not output.partial and _standard_stream(output.final) is None and reader_is_gone(output.file.fileno()):
                return UserError(
                    f"{output.final} could not be written: its reader ended before everything was written."
                )
    return None


def _discard(output: _Output) -> None:
    """Closes the file without writing buffered data, and removes a partial file that was not renamed."""
    output.file.raw.close()  # type: ignore[attr-defined]  # not in typing.BinaryIO
    if output.partial:
        output.partial.unlink(missing_ok=True)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Delays Ctrl-C and SIGTERM to the end of the block, for work that must not be interrupted."""
    if threading.current_thread() is not threading.main_thread():  # signals interrupt only the main thread
        yield
        return
    signals: List[int] = []
    previous = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not None:  # None: the handler was not set from Python and is kept
            previous[number] = signal.signal(number, lambda number, _: signals.append(number))
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        for signal_number in signals:
            signal.raise_signal(signal_number)
