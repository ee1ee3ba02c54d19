r"""Line-aligned text files: checked and read in chunks.

A line ends at "\n" and nowhere else. Python's text mode and `str.splitlines` also cut at carriage
returns, U+0085, U+2028 and others, which occur inside sentences of real corpora: one cut on one side
shifts every later pair.
"""
import codecs
import gzip
import os
import zlib
from itertools import chain, islice
from pathlib import Path
from typing import Iterator, List, Sequence, Tuple

from tqdm import tqdm

from fairseq_gnmt.data.process_pool import ordered_map
from fairseq_gnmt.errors import UserError
from gnmt.files.outputs import atomic_outputs  # noqa: F401  for those who still import it from here

LINES_PER_CHUNK = 4096
GZIP_MARK = b"\x1f\x8b"
UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

ChunkPair = Tuple[bytes, bytes]  # the same lines of source and target


def split_lines(chunk: bytes) -> List[str]:
    """The lines of a chunk without their ends; the last one may lack its end."""
    return chunk.decode("utf-8").removesuffix("\n").split("\n")


def read_chunks(path: Path) -> Iterator[bytes]:
    """Yield a file in pieces of LINES_PER_CHUNK whole lines; unpacks gzip, whatever its name, drops a byte order mark."""
    with open(path, "rb") as file:
        opener = gzip.open if file.read(len(GZIP_MARK)) == GZIP_MARK else open
    try:
        with opener(path, "rb") as file:
            mark = codecs.BOM_UTF8
            while chunk := b"".join(islice(file, LINES_PER_CHUNK)):
                yield chunk.removeprefix(mark)
                mark = b""
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(f"{path} is not a complete gzip file ({error}): fetch it again.") from error


def check_files(paths: Sequence[Path]) -> None:
    """Raise UserError for the first path that is not a readable regular file."""
    for path in paths:
        if not path.exists():
            raise UserError(f"{path} does not exist: check the path.")
        if not path.is_file():
            raise UserError(f"{path} is not a regular file: save it to one first, because it is read twice.")
        if not os.access(path, os.R_OK):
            raise UserError(f"{path} cannot be read: check its permissions.")


def count_lines(path: Path) -> int:
    """Number of lines (at least 1); raises UserError if the file is empty or is not UTF-8."""
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
    """All lines of a file that fits into memory; raises UserError if there are none or if one is not UTF-8."""
    check_files([path])
    count_lines(path)
    return [line for chunk in read_chunks(path) for line in split_lines(chunk)]


def count_pairs(sources: Sequence[Path], targets: Sequence[Path], jobs: int) -> int:
    """Pairs in all files together; raises UserError for any file that cannot be used."""
    if len(sources) != len(targets):
        raise UserError(
            f"--source has {len(sources)} files and --target has {len(targets)}: "
            f"give one target for each source, in the same order."
        )
    paths = [*sources, *targets]
    counts = list(tqdm(ordered_map(count_lines, paths, jobs), total=len(paths), desc="checking", unit=" files"))
    for source, target, source_lines, target_lines in zip(sources, targets, counts, counts[len(sources) :]):
        if source_lines != target_lines:
            raise UserError(
                f"{source} has {source_lines} lines but {target} has {target_lines}, and line n of one must "
                f"translate line n of the other: fetch or extract both again."
            )
    return sum(counts[: len(sources)])


def read_pairs(sources: Sequence[Path], targets: Sequence[Path]) -> Iterator[ChunkPair]:
    """Chunks of all files in the order given; each source must be as long as its target."""
    return chain.from_iterable(
        zip(read_chunks(source), read_chunks(target), strict=True) for source, target in zip(sources, targets)
    )
