r"""Lines of text, read from files and streams.

A line ends only at "\n". Python's text mode also ends lines at "\r", and `str.splitlines` at U+0085, U+2028 and others,
which occur inside sentences of real corpora. One such split in one language misaligns every later pair. A UTF-8 byte
order mark at the start of a file or stream is removed.

Corpora must be UTF-8 and keep every other character, including the "\r" before the "\n" of Windows files. In text to
translate, every line must have a translation: invalid UTF-8 becomes U+FFFD, with a warning. UTF-16 is refused. White
space at both ends of a line is removed, including the "\r" of Windows files.
"""

import codecs
import os
import re
import sys
from functools import partial
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Callable, Iterable, Iterator, List, Sequence

from gnmt.errors import UserError
from gnmt.files.unpacking import open_unpacked

LINES_PER_CHUNK = 4096
MAX_LINE_BYTES = 1 << 28  # bytes
SURROGATES = re.compile("[\ud800-\udfff]")
UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


# -- corpora: files that are read in chunks of whole lines


def check_files(paths: Sequence[Path]) -> None:
    """Checks that all paths are readable regular files.

    Raises:
        UserError: for the first path that is not.
    """
    for path in paths:
        if not path.exists():
            raise UserError(f"{path} does not exist: check the path.")
        if not path.is_file():
            raise UserError(f"{path} is not a regular file: save it to one first, because it is read twice.")
        if not os.access(path, os.R_OK):
            raise UserError(f"{path} cannot be read: check its permissions.")


def read_chunks(path: Path) -> Iterator[bytes]:
    """Yields a file, plain or compressed, in chunks of LINES_PER_CHUNK whole lines, without byte order mark.

    Raises:
        UserError: if a compressed file is damaged or incomplete.
    """
    with open_unpacked(path) as file:
        mark = codecs.BOM_UTF8
        lines = bounded_lines(file, str(path))
        while chunk := b"".join(islice(lines, LINES_PER_CHUNK)):
            yield chunk.removeprefix(mark)
            mark = b""


def bounded_lines(file: BinaryIO, name: str) -> Iterator[bytes]:
    """Yields the lines of a file. Memory is bounded: a small archive can contain a line of any length.

    Args:
        file: open file.
        name: name of the file in the error message.

    Raises:
        UserError: if a line has more than MAX_LINE_BYTES bytes.
    """
    for number, line in enumerate(iter(partial(file.readline, MAX_LINE_BYTES + 1), b""), start=1):
        if len(line) > MAX_LINE_BYTES:
            raise UserError(
                f"{name}, line {number} has more than {MAX_LINE_BYTES} bytes: give text with a sentence on each line."
            )
        yield line


def split_lines(chunk: bytes) -> List[str]:
    """Returns the lines of a chunk without their ends; the last line may have no end."""
    return chunk.decode("utf-8").removesuffix("\n").split("\n")


def count_lines(path: Path) -> int:
    """Returns the number of lines, at least 1.

    Raises:
        UserError: if the file is empty or is not UTF-8.
    """
    lines = 0
    for chunk in read_chunks(path):
        try:
            lines += len(split_lines(chunk))
        except UnicodeDecodeError as error:
            line = lines + chunk.count(b"\n", 0, error.start) + 1
            encoding = "utf-16" if chunk.startswith(UTF16_MARKS) else "latin1"
            raise UserError(
                f"{path} is not UTF-8: line {line} has the byte 0x{chunk[error.start]:02x}; "
                f"convert it, for example with iconv -f {encoding} -t utf-8."
            ) from error
    if lines == 0:
        raise UserError(f"{path} is empty: at least one line is needed.")
    return lines


def read_lines(path: Path) -> List[str]:
    """Returns all lines of a file that fits into memory.

    Raises:
        UserError: if the file is empty or is not UTF-8.
    """
    check_files([path])
    count_lines(path)
    return [line for chunk in read_chunks(path) for line in split_lines(chunk)]


def read_standard_input() -> List[str]:
    """Returns all lines of stdin; an empty list if it is empty.

    Raises:
        UserError: if it is not UTF-8.
    """
    content = sys.stdin.buffer.read().removeprefix(codecs.BOM_UTF8)
    try:
        return split_lines(content) if content else []
    except UnicodeDecodeError as error:
        raise UserError(f"stdin is not UTF-8 ({error}): convert it, for example with iconv.") from error


# -- text to translate: streams, each line as soon as it is complete, and texts of a program


def check_not_utf16(first_line: bytes, name: str) -> None:
    """Raises UserError if a text to translate begins with a byte order mark of UTF-16.

    Args:
        first_line: first line of the text.
        name: name of the text in the error message.
    """
    if first_line.startswith(UTF16_MARKS):
        raise UserError(f"{name} is UTF-16, not UTF-8: convert it, for example with iconv -f utf-16 -t utf-8.")


def read_stream(stream: Iterable[bytes], warn: Callable[[str], None], name: str = "The input") -> Iterator[str]:
    """Yields each line of text to translate as soon as it is complete, without white space at its ends.

    Args:
        stream: lines of bytes.
        warn: called with a message that names the line number, for each line that is not UTF-8.
        name: name of the stream in the error message.

    Raises:
        UserError: if the text is UTF-16.
    """
    mark = codecs.BOM_UTF8
    for number, line in enumerate(stream, start=1):
        if number == 1:
            check_not_utf16(line, name)
        line = line.removeprefix(mark)
        mark = b""
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            text = line.decode("utf-8", errors="replace")
            warn(f"line {number} is not UTF-8: it has the byte 0x{line[error.start]:02x}, which is read as U+FFFD.")
        yield text.strip()


def as_line(text: str) -> str:
    """Returns a text to translate as one line, as `read_stream` does; an unpaired surrogate becomes U+FFFD."""
    lines = replace_surrogates(text.removeprefix("\ufeff")).split("\n")
    return " ".join(line.strip() for line in lines).strip()


def replace_surrogates(text: str) -> str:
    """Returns a text that UTF-8 can encode: an unpaired surrogate becomes U+FFFD."""
    return SURROGATES.sub("\ufffd", text)


# -- text to print


def one_line(text: str) -> str:
    r"""Returns the text with each "\n" and "\r" replaced by a space, so that it is one line for every reader."""
    return text.replace("\n", " ").replace("\r", " ")
