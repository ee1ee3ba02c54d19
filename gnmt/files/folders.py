"""Atomic writing of folders."""

import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, Iterator

from gnmt.errors import UserError


@contextmanager
def complete_folder(path: Path, *, replaces: Callable[[Path], bool], overwrite: bool = False) -> Iterator[Path]:
    """Yields a new, empty folder in the parent of `path`; it is renamed to `path` if the block succeeds.

    Args:
        path: final path; unchanged if the block fails.
        replaces: returns True if an existing folder is of the kind that `overwrite` may replace.
        overwrite: replace such a folder with all its files.

    Raises:
        UserError: if `path` exists and may not be replaced, or its parent folder cannot be written.
    """
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        if not (path.is_dir() and replaces(path)):
            raise UserError(f"{path} exists: choose another folder, or remove it first.")
        if not overwrite:
            raise UserError(f"{path} exists: choose another folder, or replace it with --overwrite.")
    if path.exists() and path.samefile(os.curdir):
        raise UserError(f"{path} is the current folder, which cannot be replaced: name a new folder.")
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.mkdir(parents=True)
    except OSError as error:
        raise UserError(f"{path.parent} cannot be written ({error.strerror}): choose another folder.") from error
    try:
        yield partial
        previous = partial.with_suffix(".previous")
        if path.exists():
            path.rename(previous)
        partial.rename(path)
        shutil.rmtree(previous, ignore_errors=True)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
