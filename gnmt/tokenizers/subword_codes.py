"""Merges of a byte-pair encoding, and their file in the format of subword-nmt."""

from pathlib import Path
from typing import Dict, List, NamedTuple, Sequence, Tuple

from gnmt.errors import UserError
from gnmt.files.lines import read_lines

HEAD = "#version: "
FIRST_VERSION = (0, 1)  # version of files without header
VERSIONS = {"0.1": (0, 1), "0.2": (0, 2)}  # all that subword-nmt applies


class SubwordCodes(NamedTuple):
    """Merges of byte-pair encoding, as subword-nmt learns them."""

    version: Tuple[int, ...]
    merges: List[Tuple[str, str]]  # most frequent first

    def lines(self) -> List[str]:
        """Lines of the file."""
        head = [] if self.version == FIRST_VERSION else [HEAD + ".".join(map(str, self.version))]
        return head + [" ".join(merge) for merge in self.merges]

    def text(self) -> str:
        """Content of the file."""
        return "".join(f"{line}\n" for line in self.lines())


def ranked(ranks: Dict[Tuple[str, str], int], version: Tuple[int, ...]) -> SubwordCodes:
    """Returns the codes of subword-nmt's table in memory.

    Args:
        ranks: rank of each pair of pieces; the most frequent pair has the lowest rank.
        version: version of the merges.
    """
    return SubwordCodes(version, sorted(ranks, key=ranks.__getitem__))


def read_codes(path: Path) -> SubwordCodes:
    """Returns the codes of a file.

    Raises:
        UserError: if the file does not contain merges.
    """
    return parse_codes(read_lines(path), path)


def parse_codes(lines: Sequence[str], path: Path) -> SubwordCodes:
    """Returns the codes of the lines of a file; `path` is for errors.

    Raises:
        UserError: if the lines are not merges.
    """
    version: Tuple[int, ...] = FIRST_VERSION
    if lines[0].startswith(HEAD):
        head, *lines = lines
        name = head.removeprefix(HEAD).strip()
        if name not in VERSIONS:
            raise UserError(f"{path} has the version {name[:40]!r}, but subword-nmt supports {', '.join(VERSIONS)}.")
        version = VERSIONS[name]
    merges = [line.strip("\r ").split(" ") for line in lines]
    for merge in merges:
        if len(merge) != 2:
            raise UserError(
                f"{path} has the line {' '.join(merge)!r}, but each line must have two pieces of a word: name the file "
                "of `subword-nmt learn-bpe`."
            )
    return SubwordCodes(version, [(first, second) for first, second in merges])
