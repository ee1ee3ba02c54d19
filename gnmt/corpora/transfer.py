"""Download of one file over HTTP, with resumption of interrupted transfers."""

import re
import sys
import time
import urllib.error
import urllib.request
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Optional, Tuple

from tqdm import tqdm

from gnmt.errors import UserError
from gnmt.files.progress import progress_bar

CHUNK_BYTES = 1 << 20
TIMEOUT_SECONDS = 60
MAX_FRUITLESS_ATTEMPTS = 3  # maximum number of consecutive connections without data


def part_path(path: Path) -> Path:
    """Returns the path of the partial file of an unfinished transfer of `path`."""
    return path.with_name(path.name + ".part")


def fetch(url: str, path: Path) -> None:
    """Downloads `url` to `path`, resuming from `path`.part and after interrupted connections.

    The size is compared with the size announced by the server. The caller must check the content, because old and new
    bytes may belong to different files.

    Raises:
        UserError: if the server cannot be reached, refuses, or repeatedly sends nothing.
    """
    part = part_path(path)
    fruitless = 0
    while True:
        before = _size(part)
        complete, cause = _attempt(url, part)
        if complete:
            part.replace(path)
            return
        fruitless = 0 if _size(part) > before else fruitless + 1
        if fruitless == MAX_FRUITLESS_ATTEMPTS:
            raise UserError(
                f"{url} stops after {_size(part)} bytes ({cause}). "
                "Run the command again to continue, or give --mirror URL."
            )
        time.sleep(fruitless)


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _attempt(url: str, part: Path) -> Tuple[bool, str]:
    """Opens one connection; returns True if `part` is then complete, and otherwise the cause.

    Args:
        url: address of the file.
        part: partial file, to which received bytes are appended.
    """
    start = _size(part)
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
            if start and response.status != 206:
                tqdm.write(f"{part.name}: the server cannot continue a transfer; starting again.", file=sys.stderr)
                start = 0
            total = _total_bytes(response, start)
            _receive(response, part, start, total)
    except urllib.error.HTTPError as error:
        return _refused(url, part, error)
    except urllib.error.URLError as error:
        raise UserError(
            f"{url} cannot be reached ({error.reason}). Check the network, give --mirror URL, "
            "or fetch the file elsewhere and give --from-directory DIR."
        ) from error
    except (HTTPException, ConnectionError, TimeoutError) as error:
        return False, f"connection lost: {error or type(error).__name__}"
    received = _size(part)
    if total is not None and received > total:
        part.unlink()  # bytes of another file: start again
        return False, f"{received} bytes were received, but {total} were announced"
    return total in (None, received), f"{received} of {total} bytes were received"


def _refused(url: str, part: Path, error: urllib.error.HTTPError) -> Tuple[bool, str]:
    """Handles an HTTP error; 416 (no bytes after our last one) means that `part` is complete or of another file.

    Args:
        url: address of the file.
        part: partial file.
        error: error of the server.
    """
    if error.code != 416:
        raise UserError(
            f"{url} answers {error.code} {error.reason}. "
            "Give --mirror URL, or --from-directory DIR with the file in it."
        ) from error
    announced = re.fullmatch(r"bytes \*/(\d+)", error.headers.get("Content-Range", ""))
    if announced and int(announced[1]) == _size(part):
        return True, ""
    part.unlink()
    return False, "the unfinished file does not fit the server's; it was discarded"


def _total_bytes(response: HTTPResponse, start: int) -> Optional[int]:
    """Returns the announced size of the whole file; None if the server announces none.

    Args:
        response: open response.
        start: position of its first byte in the file.
    """
    length = response.headers.get("Content-Length")
    return None if length is None else start + int(length)


def _receive(response: HTTPResponse, part: Path, start: int, total: Optional[int]) -> None:
    """Writes the body from byte `start` of `part` on; data that arrives before an error is kept.

    Args:
        response: open response.
        part: partial file.
        start: position of the first byte.
        total: announced size of the whole file, or None.
    """
    name = part.name.removesuffix(".part")
    with (
        part.open("ab" if start else "wb") as file,
        progress_bar(name=name, done=start, total=total, unit="B") as progress,
    ):
        # read1 returns available data at once, so an interruption loses nothing.
        while chunk := response.read1(CHUNK_BYTES):
            file.write(chunk)
            progress.update(len(chunk))
