"""Reading of files, plain or compressed with gzip, xz or zstd, as one stream of bytes.

The format is detected from the first bytes of a file, not from its name. A compressed file may consist of several
parts, as written by parallel compressors and `cat`.
"""

import gzip
import io
import lzma
import zlib
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Callable, Dict, Iterator, NamedTuple

import zstandard

from gnmt.errors import UserError

SUFFIXES = ("", ".gz", ".xz", ".zst")  # usual suffixes, plain files first
BLOCK = 1 << 20  # bytes read at a time
LARGEST_WINDOW = 1 << 31  # bytes, as in `zstd --long=31`
DAMAGED = (gzip.BadGzipFile, EOFError, zlib.error, lzma.LZMAError, zstandard.ZstdError)


class Format(NamedTuple):
    """Compression format: its name, and a function that opens a file."""

    name: str
    open: Callable[[BinaryIO], Any]


class ZstdFile(io.RawIOBase):
    """Uncompressed bytes of a zstd file; unlike `zstandard.open` it reads all frames and detects a missing end."""

    def __init__(self, file: BinaryIO):
        self._blocks = _zstd_blocks(file)
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._rest = block
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count


def _zstd_blocks(file: BinaryIO) -> Iterator[bytes]:
    frame = None
    while block := file.read(BLOCK):
        while block:
            frame = frame or zstandard.ZstdDecompressor(max_window_size=LARGEST_WINDOW).decompressobj()
            yield frame.decompress(block)
            block = frame.unused_data if frame.eof else b""
            frame = None if frame.eof else frame
    if frame is not None:
        raise EOFError("its end is missing")


GZIP = Format("gzip", gzip.open)
XZ = Format("xz", lzma.open)
ZSTD = Format("zstd", lambda file: io.BufferedReader(ZstdFile(file), BLOCK))
MARKS: Dict[bytes, Format] = {
    b"\x1f\x8b": GZIP,
    b"\xfd7zXZ\x00": XZ,
    b"\x28\xb5\x2f\xfd": ZSTD,
    b"\x50\x2a\x4d\x18": ZSTD,  # skippable frame at the start of pzstd's files
}


@contextmanager
def open_unpacked(path: Path) -> Iterator[BinaryIO]:
    """Opens a file for reading its uncompressed bytes.

    Raises:
        UserError: if a compressed file is damaged or incomplete; may be raised from the block that reads it.
    """
    with open(path, "rb") as file, unpacked(file, str(path)) as content:
        yield content


@contextmanager
def unpacked(file: io.BufferedReader, name: str) -> Iterator[BinaryIO]:
    """Yields the uncompressed bytes of an open file or pipe, from its beginning; `name` is for error messages.

    Raises:
        UserError: if a compressed file is damaged or incomplete; may be raised from the block that reads it.
    """
    head = file.peek(max(map(len, MARKS)))
    packed = next((packed for mark, packed in MARKS.items() if head.startswith(mark)), None)
    if packed is None:
        yield file
        return
    try:
        with packed.open(file) as content:
            yield content
    except DAMAGED as error:
        raise UserError(f"{name} is not a complete {packed.name} file ({error}): fetch it again.") from error
