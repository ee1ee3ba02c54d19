"""SHA-256 checksums in the format of `sha256sum`, and a check that a compressed file is complete."""

import gzip
import re
import tarfile
import zlib
from pathlib import Path
from typing import Dict, Mapping, Optional

from gnmt.errors import UserError
from gnmt.files.checksums import sha256
from gnmt.files.lines import check_files
from gnmt.files.outputs import atomic_outputs

CHUNK_BYTES = 1 << 20


def read_sums(path: Path) -> Dict[str, str]:
    """Returns the checksums by file name, from lines `<64 hex digits>  <name>`.

    Raises:
        UserError: for any other line.
    """
    check_files([path])
    sums = {}
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        match = re.fullmatch(r"([0-9a-fA-F]{64}) [ *](.+)", line)
        if match:
            sums[Path(match[2]).name] = match[1].lower()
        elif line.strip():
            raise UserError(
                f"Line {number} of {path} is {line!r}, not a sum, two spaces and a file name: write it with sha256sum."
            )
    return sums


def write_sums(path: Path, sums: Mapping[str, str]) -> None:
    """Replaces a file of checksums atomically.

    Args:
        path: file to write.
        sums: checksums by file name; written in the order of the names.
    """
    with atomic_outputs([path], inputs=[], overwrite=True) as (file,):
        file.write("".join(f"{sums[name]}  {name}\n" for name in sorted(sums)).encode("utf-8"))


def defect(path: Path, expected_sum: Optional[str]) -> Optional[str]:
    """Returns a short description of the damage of a .gz or .tgz file; None if the file is complete.

    Args:
        path: file to check.
        expected_sum: SHA-256 to compare with; None decompresses the file to its end, which checks gzip's CRC.
    """
    if expected_sum is not None:
        found = sha256(path)
        return None if found == expected_sum else f"its sha256 is {found}, wanted {expected_sum}"
    try:
        with gzip.open(path) as file:
            while file.read(CHUNK_BYTES):
                pass
        if path.suffix == ".tgz":
            with tarfile.open(path) as archive:
                archive.next()
    except EOFError:
        return "it is cut short"
    except (gzip.BadGzipFile, zlib.error, tarfile.TarError) as error:
        return f"it is not a valid {path.suffix} file ({error})"
    return None
