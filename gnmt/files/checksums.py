"""Checksums of a folder's files, in the format of `sha256sum`."""

import hashlib
import re
from pathlib import Path
from typing import Dict, List, Set

from gnmt.errors import UserError

SUMS = "SHA256SUMS"
LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")


def sha256(path: Path) -> str:
    """Returns the SHA-256 checksum of a file, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_sums(folder: Path) -> None:
    """Writes SHA256SUMS with the checksum of every other file of `folder`."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != SUMS)
    lines = [f"{sha256(path)}  {path.relative_to(folder).as_posix()}\n" for path in paths]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")


def check_sums(folder: Path) -> Set[str]:
    """Checks the files of `folder` against SHA256SUMS.

    Returns:
        Names of the listed files. Other files of the folder are not checked.

    Raises:
        UserError: if SHA256SUMS is missing or malformed, or a listed file is missing or differs.
    """
    sums = _read_sums(folder / SUMS)
    for name, expected in sums.items():
        path = folder / name
        if not path.is_file():
            raise UserError(f"{path} is missing, but {SUMS} lists it: copy the model folder again.")
        if sha256(path) != expected:
            raise UserError(f"{path} differs from its checksum in {SUMS}: it is damaged or was changed; copy it again.")
    return set(sums)


def _read_sums(path: Path) -> Dict[str, str]:
    if not path.is_file():
        raise UserError(f"{path} is missing: {path.parent} is not a complete model folder of `gnmt export`.")
    sums: Dict[str, str] = {}
    lines: List[str] = path.read_text(encoding="utf-8", errors="replace").splitlines()
    for number, line in enumerate(lines, start=1):
        match = LINE.fullmatch(line)
        if not match or Path(match[2]).is_absolute() or ".." in Path(match[2]).parts:
            raise UserError(f"Line {number} of {path} is not a checksum and a file name: copy the model folder again.")
        sums[match[2]] = match[1]
    return sums
