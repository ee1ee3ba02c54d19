"""Parallel text in the files that people have: plain or packed, one file per language or two columns of one file."""
import gzip
import lzma
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Callable, Dict, Iterator, List, Optional, Tuple

import zstandard

from gnmt.errors import UserError

SUFFIXES = ("", ".gz", ".xz", ".zst")
MARKS: Dict[bytes, Callable[[Path], BinaryIO]] = {
    b"\x1f\x8b": lambda path: gzip.open(path, "rb"),
    b"\xfd7zXZ\x00": lambda path: lzma.open(path, "rb"),
    b"\x28\xb5\x2f\xfd": lambda path: zstandard.open(path, "rb"),
}
DAMAGED = (gzip.BadGzipFile, EOFError, lzma.LZMAError, zstandard.ZstdError)


class PairFiles:
    """Parallel text in two files, or in two columns of one."""

    def __init__(self, source: Path, target: Optional[Path]):
        """target is None if `source` has both languages, separated by a tab."""
        self.source, self.target = source, target

    @classmethod
    def find(cls, name: str, source_language: str, target_language: str) -> "PairFiles":
        """Returns the files of a corpus by its name without languages, such as data/train for data/train.en.gz.

        Raises:
            UserError: there are no such files.
        """
        sides = [_existing(f"{name}.{language}") for language in (source_language, target_language)]
        if all(sides):
            return cls(*sides)
        columns = _existing(f"{name}.tsv") or _existing(name)
        if columns is not None and columns.is_file():
            return cls(columns, None)
        raise UserError(
            f"{name} names no parallel text: there must be {name}.{source_language} and {name}.{target_language}, or "
            f"{name}.tsv with two columns, plain or packed as {', '.join(SUFFIXES[1:])}."
        )

    def pairs(self) -> Iterator[Tuple[bytes, bytes]]:
        """Yields the lines of both languages without their ends.

        Raises:
            UserError: a file is damaged, a line has not two columns, or the languages have not the same number of lines.
        """
        if self.target is None:
            for number, line in enumerate(lines_of(self.source), start=1):
                columns = line.split(b"\t")
                if len(columns) < 2:
                    raise UserError(f"Line {number} of {self.source} has no tab between the two languages.")
                yield columns[0], columns[1]
            return
        sources, targets = lines_of(self.source), lines_of(self.target)
        for number, source in enumerate(sources, start=1):
            target = next(targets, None)
            if target is None:
                raise UserError(f"{self.target} ends before line {number} of {self.source}: both need the same number of lines.")
            yield source, target
        if next(targets, None) is not None:
            raise UserError(f"{self.source} ends before {self.target}: both need the same number of lines.")


def lines_of(path: Path) -> Iterator[bytes]:
    """Yields the lines of a file without their ends and without a byte order mark; unpacks it, whatever its name.

    Raises:
        UserError: the file is damaged.
    """
    try:
        with _opened(path) as file:
            for number, line in enumerate(file):
                yield (line if number else line.removeprefix(b"\xef\xbb\xbf")).removesuffix(b"\n")
    except DAMAGED as error:
        raise UserError(f"{path} is damaged ({error}): fetch it again.") from error


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    with path.open("rb") as file:
        head = file.read(6)
    opener = next((opener for mark, opener in MARKS.items() if head.startswith(mark)), lambda path: path.open("rb"))
    with opener(path) as file:
        yield file


def _existing(name: str) -> Optional[Path]:
    found: List[Path] = [Path(name + suffix) for suffix in SUFFIXES if Path(name + suffix).is_file()]
    return found[0] if found else None
