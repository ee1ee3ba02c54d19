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
BLOCK = 1 << 20  # uncompressed bytes read at a time
PACKED_BLOCK = 1 << 10  # compressed bytes, which are at most 32 MiB of text (zstd)
MAX_WINDOW_BYTES = 1 << 31  # bytes, as in `zstd --long=31`
DAMAGED = (gzip.BadGzipFile, EOFError, zlib.error, lzma.LZMAError, zstandard.ZstdError)


class Format(NamedTuple):
    """Compression format: its name, and a function that opens a file."""

    name: str
    open: Callable[[BinaryIO], Any]


class Unpacked(io.RawIOBase):
    """Uncompressed bytes of all parts of a file; detects a missing end, and other data between or after parts.

    The file objects of `lzma` and `zstandard` ignore a missing end, or all data after the first part.

    Args:
        file: compressed file.
        new: returns a decompressor for the next part.
        padding: bytes that are allowed between parts.
    """

    def __init__(self, file: BinaryIO, new: Callable[[], Any], padding: bytes = b""):
        self._blocks = _unpacked_blocks(file, new, padding)
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        """Returns True: the file can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fills the beginning of a buffer; returns the number of bytes, 0 at the end of the file."""
        while not self._rest:
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._rest = memoryview(block)
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count


def _unpacked_blocks(file: BinaryIO, new: Callable[[], Any], padding: bytes) -> Iterator[bytes]:
    part = None
    while block := file.read(PACKED_BLOCK):
        while block:
            if part is None:
                block = block.lstrip(padding)
                if not block:
                    break
                part = new()
            yield part.decompress(block)
            block = part.unused_data if part.eof else b""
            part = None if part.eof else part
    if part is not None:
        raise EOFError("its end is missing")


def _zstd_part() -> Any:
    return zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES).decompressobj()


GZIP = Format("gzip", gzip.open)
XZ = Format("xz", lambda file: io.BufferedReader(Unpacked(file, lzma.LZMADecompressor, b"\0"), BLOCK))
ZSTD = Format("zstd", lambda file: io.BufferedReader(Unpacked(file, _zstd_part), BLOCK))
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
