"""API keys in a file, one line `NAME KEY [REQUESTS-PER-MINUTE]` per key; blank lines and # comments are skipped."""

import hashlib
import hmac
from pathlib import Path
from typing import List, NamedTuple, Optional, Sequence

from gnmt.errors import UserError
from gnmt.files.lines import read_lines
from gnmt.ranges import Range

MIN_KEY_LENGTH = 16  # characters


class Key(NamedTuple):
    """An API key."""

    name: str
    digest: bytes  # SHA-256 of the key
    requests_per_minute: Optional[float]  # None: the server's limit


def read_keys(path: Path) -> List[Key]:
    """Returns the keys of a file.

    Raises:
        UserError: if the file is missing, has no keys, or a line is malformed.
    """
    keys: List[Key] = []
    for number, line in enumerate(read_lines(path), start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            keys.append(_read_key(line.split(), f"line {number} of {path}"))
    if not keys:
        raise UserError(f"{path} has no keys: give a line NAME KEY for each client.")
    for attribute in ("name", "digest"):
        if len({getattr(key, attribute) for key in keys}) < len(keys):
            raise UserError(f"{path} has a name or a key twice: give each client its own.")
    return keys


def find_key(keys: Sequence[Key], presented: Optional[str]) -> Optional[Key]:
    """Returns the presented key, or None if it is unknown; compares in constant time.

    Args:
        keys: keys of all clients.
        presented: key in the request; None if the request has none.
    """
    digest = _digest(presented or "")
    match = None
    for key in keys:
        if hmac.compare_digest(key.digest, digest):
            match = key
    return match


def _read_key(fields: List[str], place: str) -> Key:
    if len(fields) not in (2, 3):
        raise UserError(f"{place} has {len(fields)} fields, but must be: NAME KEY [REQUESTS-PER-MINUTE].")
    name, key, *rate = fields
    if len(key) < MIN_KEY_LENGTH:
        raise UserError(f"The key on {place} has {len(key)} characters, but needs at least {MIN_KEY_LENGTH}.")
    return Key(name, _digest(key), _read_rate(rate[0], place) if rate else None)


def _read_rate(text: str, place: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = -1.0
    if Range(0, 1e6).requirement(rate):
        raise UserError(f"The rate {text!r} on {place} must be a number of requests in a minute; 0 means no limit.")
    return rate


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", errors="surrogatepass")).digest()
