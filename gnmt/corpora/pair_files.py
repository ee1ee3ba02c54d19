"""Files of parallel text: one per language, or one with two columns; plain or compressed."""

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
        """Paths of all files."""
        return [self.source] if self.target is None else [self.source, self.target]


def find_pair_files(name: str, languages: Tuple[str, str]) -> PairFiles:
    """Returns the files of a corpus from its name without language, such as data/train for data/train.en.gz.

    Args:
        name: path without language.
        languages: suffixes of source and target.

    Raises:
        UserError: if there are no such files, or files of one language only, or the name ends with a language.
    """
    source, target = (_existing(f"{name}.{language}") for language in languages)
    if source and target:
        return PairFiles(source, target)
    if source or target:
        missing = f"{name}.{languages[1] if source else languages[0]}"
        raise UserError(
            f"{source or target} has no {missing} in its directory: both languages are needed, plain or as {_packed()}."
        )
    columns = _existing(f"{name}.tsv")
    if columns is None:
        _check_has_no_language(name, languages)
        columns = _existing(name)
    if columns:
        return PairFiles(columns, None)
    raise UserError(
        f"{name} is not the name of a parallel text: there must be {name}.{languages[0]} and {name}.{languages[1]}, or "
        f"{name}.tsv with two columns, plain or as {_packed()}."
    )


def split_columns(columns: Path, source: Path, target: Path) -> None:
    """Writes the first two tab-separated columns of a file to two files.

    Args:
        columns: file with two columns.
        source: file for the first column.
        target: file for the second column.

    Raises:
        UserError: if the file is damaged, empty, not UTF-8, or has a line with one column; nothing is written then.
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
    """Writes the uncompressed content of a file, without byte order mark.

    Args:
        packed: file to read, plain or compressed.
        plain: file to write.
    """
    with atomic_outputs([plain], inputs=[packed], overwrite=True) as (file,):
        file.writelines(read_chunks(packed))


def _check_has_no_language(name: str, languages: Tuple[str, str]) -> None:
    """Raises UserError if the name of a corpus is the name of the file of one language."""
    for suffix in (f".{language}{packed}" for language in languages for packed in SUFFIXES):
        corpus = name.removesuffix(suffix)
        if corpus != name:
            raise UserError(
                f"{name} is the file of one language: name the corpus without its language, {corpus}, for "
                f"{corpus}.{languages[0]} and {corpus}.{languages[1]}."
            )


def _existing(name: str) -> Optional[Path]:
    return next((Path(name + suffix) for suffix in SUFFIXES if Path(name + suffix).is_file()), None)


def _packed() -> str:
    return ", ".join(SUFFIXES[1:])
