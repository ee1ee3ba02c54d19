"""Check that a compressed file is complete."""

import gzip
import tarfile
import zlib
from pathlib import Path
from typing import Optional

from gnmt.files.checksums import sha256

CHUNK_BYTES = 1 << 20


def defect(path: Path, expected_sum: Optional[str]) -> Optional[str]:
    """Returns a short description of the damage of a .gz or .tgz file; None if the file is complete.

    Args:
        path: file to check.
        expected_sum: SHA-256 to compare with; None decompresses the file to its end, which checks gzip's CRC.
    """
    if expected_sum is not None:
        checksum = sha256(path)
        return None if checksum == expected_sum else f"its sha256 is {checksum}, expected {expected_sum}"
    try:
        with gzip.open(path) as file:
            while file.read(CHUNK_BYTES):
                pass
        if path.suffix == ".tgz":
            with tarfile.open(path) as archive:
                archive.next()
    except EOFError:
        return "it is truncated"
    except (gzip.BadGzipFile, zlib.error, tarfile.TarError) as error:
        return f"it is not a valid {path.suffix} file ({error})"
    return None
