"""A corpus on the web brought to a directory: fetched or taken from a local copy, and checked either way.

gnmt.commands.download has the command line of every `examples/*/download.py`; each of them lists the files of its corpus.
"""

import sys
from pathlib import Path
from typing import Dict, Mapping, NamedTuple, Optional, Sequence
from urllib.parse import urlsplit

from gnmt.corpora.checksums import defect, read_sums, sha256, write_sums
from gnmt.corpora.transfer import fetch, part_path
from gnmt.errors import UserError

RECORD = "SHA256SUMS"  # of what was downloaded: later runs, and other machines, compare with it


class RemoteFile(NamedTuple):
    """A file of a corpus; its name on disk is the last part of the URL."""

    url: str
    sha256: Optional[str] = None  # where its publisher or we know it

    @property
    def name(self) -> str:
        return self.url.rsplit("/", 1)[1]


def download(files: Sequence[RemoteFile], directory: Path, mirror: Optional[str], given: Mapping[str, str]) -> None:
    """Make `directory` hold every file, whole. `given` sums come before recorded ones. Raises UserError."""
    directory.mkdir(parents=True, exist_ok=True)
    for file in files:
        expected = _known_sums(files, directory, given).get(file.name)
        path = directory / file.name
        if path.exists() and _is_whole(path, expected):
            print(f"{path}: already here, checked.", file=sys.stderr)
        else:
            _fetch_whole(_mirrored(file.url, mirror), path, expected)
        _record(path, expected)


def link_local(files: Sequence[RemoteFile], directory: Path, source: Path, given: Mapping[str, str]) -> None:
    """Make `directory` link to the files in `source`, which is only read. Raises UserError naming the bad file."""
    directory.mkdir(parents=True, exist_ok=True)
    sums = _known_sums(files, directory, given)
    missing = [file.name for file in files if not (source / file.name).is_file()]
    if missing:
        raise UserError(f"{source} has no {', '.join(missing)}. Put it there, or leave the option out to download.")
    for file in files:
        original, path = (source / file.name).resolve(), directory / file.name
        wrong = defect(original, sums.get(file.name))
        if wrong:
            raise UserError(f"{original} is bad: {wrong}. Replace it by a good copy of {file.url}.")
        if path.resolve() != original:
            if path.exists():
                raise UserError(f"{path} is here already. Delete it to use {original}, or leave the option out.")
            path.unlink(missing_ok=True)  # a link whose target has gone
            path.symlink_to(original)
        _record(path, sums.get(file.name))
        print(f"{path}: local copy, checked.", file=sys.stderr)


def _known_sums(files: Sequence[RemoteFile], directory: Path, given: Mapping[str, str]) -> Dict[str, str]:
    record = directory / RECORD
    recorded = read_sums(record) if record.exists() else {}
    return {**recorded, **{file.name: file.sha256 for file in files if file.sha256}, **given}


def _record(path: Path, expected: Optional[str]) -> None:
    record = path.parent / RECORD
    sums = read_sums(record) if record.exists() else {}
    found = expected or sha256(path)
    if sums.get(path.name) != found:
        write_sums(record, {**sums, path.name: found})


def _mirrored(url: str, mirror: Optional[str]) -> str:
    return url if mirror is None else mirror.rstrip("/") + urlsplit(url).path


def _fetch_whole(url: str, path: Path, expected: Optional[str]) -> None:
    """Fetch until the file is whole; a bad one may owe its fault to bytes of an earlier run, so once more from zero."""
    resumed = part_path(path).exists()
    fetch(url, path)
    if not _is_whole(path, expected):
        print(f"{path.name}: fetching it once more{' from the start' if resumed else ''}.", file=sys.stderr)
        fetch(url, path)
        if not _is_whole(path, expected):
            raise UserError(
                f"{url} gave a bad {path.name} twice. Try another --mirror URL, or --from-directory DIR with a good one; "
                f"if the publisher has changed the file, correct its sum in --checksums or {path.parent / RECORD}."
            )


def _is_whole(path: Path, expected: Optional[str]) -> bool:
    """Tells whether the file may be used; if not, logs the reason and moves it aside."""
    print(f"{path.name}: checking.", file=sys.stderr)
    wrong = defect(path, expected)
    if wrong:
        aside = path.with_name(path.name + ".corrupt")
        path.replace(aside)
        print(f"{path} is bad: {wrong}. It was moved to {aside}.", file=sys.stderr)
    return not wrong


def is_address(url: str) -> bool:
    """Returns True for an http or https address with a host, and a port that is a number if it has one."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def given_sums(path: Optional[Path], files: Sequence[RemoteFile]) -> Dict[str, str]:
    """Reads the sums of a file as sha256sum writes it; raises UserError if it has none of the files."""
    if path is None:
        return {}
    sums = read_sums(path)
    if not any(file.name in sums for file in files):
        raise UserError(f"{path} has no sum of {', '.join(file.name for file in files)}: give the file of this corpus.")
    return sums
