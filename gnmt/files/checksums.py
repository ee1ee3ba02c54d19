"""Checksums of files, in the format of `sha256sum`: a line with the checksum, two spaces and the name for each file."""

import hashlib
import re
from pathlib import Path
from typing import Dict, Mapping, Set

from gnmt.errors import UserError

SUMS = "SHA256SUMS"
LINE = re.compile(r"([0-9a-fA-F]{64}) [ *](.+)")


def sha256(path: Path) -> str:
    """Returns the SHA-256 checksum of a file, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_sums(path: Path, remedy: str) -> Dict[str, str]:
    """Returns the checksums of a file by name; blank lines are skipped.

    Args:
        path: file of checksums.
        remedy: advice for a line that is not a checksum and a name, part of the error message.

    Raises:
        UserError: if there is such a line.
    """
    sums: Dict[str, str] = {}
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    for number, line in enumerate(lines, start=1):
        match = LINE.fullmatch(line)
        if match:
            sums[match[2]] = match[1].lower()
        elif line.strip():
            raise UserError(f"Line {number} of {path} is not a checksum, two spaces and a file name: {remedy}.")
    return sums


def text_of_sums(sums: Mapping[str, str]) -> str:
    """Returns the content of a file of checksums, sorted by name."""
    return "".join(f"{sums[name]}  {name}\n" for name in sorted(sums))


def write_folder_sums(folder: Path) -> None:
    """Writes SHA256SUMS with the checksum of every other file of `folder`."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name != SUMS]
    sums = {path.relative_to(folder).as_posix(): sha256(path) for path in paths}
    (folder / SUMS).write_text(text_of_sums(sums), encoding="utf-8")


def check_folder_sums(folder: Path) -> Set[str]:
    """Checks the files of `folder` against SHA256SUMS.

    Returns:
        Names of the listed files. Other files of the folder are not checked.

    Raises:
        UserError: if SHA256SUMS is missing or malformed, or a listed file is missing or differs.
    """
    if not (folder / SUMS).is_file():
        raise UserError(f"{folder / SUMS} is missing: {folder} is not a complete model folder of `gnmt export`.")
    sums = read_sums(folder / SUMS, "copy the model folder again")
    for name, expected in sums.items():
        path = folder / name
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise UserError(f"{folder / SUMS} lists {name}, which is outside the folder: copy the model folder again.")
        if not path.is_file():
            raise UserError(f"{path} is missing, but {SUMS} lists it: copy the model folder again.")
        if sha256(path) != expected:
            raise UserError(f"{path} differs from its checksum in {SUMS}: it is damaged or was changed; copy it again.")
    return set(sums)
