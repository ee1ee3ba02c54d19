"""Files that are packed as they are written, with gzip, xz or zstd by the suffix of their name.

The packed bytes depend on the content only: they hold neither a name nor a time.
"""

import gzip
import lzma
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import BinaryIO

import zstandard


def packed(file: BinaryIO, path: Path) -> "AbstractContextManager[BinaryIO]":
    """Returns a context whose value is written to; it packs into `file` as the suffix of `path` asks.

    Args:
        file: open for writing; it stays open.
        path: name of the file: .gz, .xz and .zst are packed, all others stay plain.
    """
    if path.suffix == ".gz":
        return gzip.GzipFile("", "wb", 6, file, mtime=0)  # type: ignore[return-value]
    if path.suffix == ".xz":
        return lzma.open(file, "wb")  # type: ignore[return-value]
    if path.suffix == ".zst":
        return zstandard.ZstdCompressor().stream_writer(file, closefd=False)
    return nullcontext(file)
