"""Output files compressed with gzip, xz or zstd, by the suffix of their name.

The compressed bytes depend only on the content: they contain neither a name nor a time.
"""

import gzip
import lzma
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import BinaryIO

import zstandard


def packed(file: BinaryIO, path: Path) -> AbstractContextManager[BinaryIO]:
    """Returns a context with a writable file as its value; the content is compressed into `file`.

    Args:
        file: open for writing; stays open.
        path: name of the file: .gz, .xz and .zst are compressed, all others are plain.
    """
    if path.suffix == ".gz":
        return gzip.GzipFile("", "wb", 6, file, mtime=0)  # type: ignore[return-value]
    if path.suffix == ".xz":
        return lzma.open(file, "wb")  # type: ignore[return-value]
    if path.suffix == ".zst":
        return zstandard.ZstdCompressor().stream_writer(file, closefd=False)
    return nullcontext(file)
