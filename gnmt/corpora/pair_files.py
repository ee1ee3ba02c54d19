"""Files of parallel text: one for each language, or one with two columns; plain or packed."""

from pathlib import Path
from typing import List, NamedTuple, Optional, Tuple

from gnmt.errors import UserError
from gnmt.files.lines import count_lines, read_chunks
from gnmt.files.outputs import atomic_outputs
from gnmt.files.unpacking import SUFFIXES


class PairFiles(NamedTuple):
    """Files of a corpus; `target` is None if `source` has both languages in two columns."""

    source: Path
    target: Optional[Path]

    @property
    def paths(self) -> List[Path]:
        """All files."""
        return [self.source] if self.target is None else [self.source, self.target]


def find_pair_files(name: str, languages: Tuple[str, str]) -> PairFiles:
    """Returns the files of a corpus by its name without language, such as data/train for data/train.en.gz.

    Raises:
        UserError: there are no such files, or only those of one language.
    """
    source, target = (_existing(f"{name}.{language}") for language in languages)
    if source and target:
        return PairFiles(source, target)
    if source or target:
        missing = f"{name}.{languages[1] if source else languages[0]}"
        raise UserError(
            f"{source or target} has no {missing} beside it: both languages are needed, plain or as {_packed()}."
        )
    columns = _existing(f"{name}.tsv") or _existing(name)
    if columns:
        return PairFiles(columns, None)
    raise UserError(
        f"{name} names no parallel text: there must be {name}.{languages[0]} and {name}.{languages[1]}, or "
        f"{name}.tsv with two columns, plain or as {_packed()}."
    )


def split_columns(columns: Path, source: Path, target: Path) -> None:
    """Writes the first two columns of a file, which are separated by tabs, as files of their own.

    Raises:
        UserError: the file is damaged, empty, not UTF-8, or a line has only one column; nothing is written then.
    """
    count_lines(columns)
    number = 0
    with atomic_outputs([source, target], inputs=[columns], overwrite=True) as (source_file, target_file):
        for chunk in read_chunks(columns):
            for line in chunk.removesuffix(b"\n").split(b"\n"):
                number += 1
                sides = line.split(b"\t")
                if len(sides) < 2:
                    raise UserError(f"Line {number} of {columns} has no tab: source and target are separated by one.")
                source_file.write(sides[0] + b"\n")
                target_file.write(sides[1] + b"\n")


def unpack(packed: Path, plain: Path) -> None:
    """Writes a file without its packing and without a byte order mark."""
    with atomic_outputs([plain], inputs=[packed], overwrite=True) as (file,):
        file.writelines(read_chunks(packed))


def _existing(name: str) -> Optional[Path]:
    return next((Path(name + suffix) for suffix in SUFFIXES if Path(name + suffix).is_file()), None)


def _packed() -> str:
    return ", ".join(SUFFIXES[1:])
