"""Download of a corpus to a folder, from the network or a local copy, with checks of the files.

The command line is in gnmt.commands.download; each `examples/*/download.py` lists the files of its corpus.
"""

import sys
from pathlib import Path
from typing import Dict, Mapping, NamedTuple, Optional, Sequence
from urllib.parse import urlsplit

from gnmt.corpora.completeness import defect
from gnmt.corpora.transfer import fetch, part_path
from gnmt.errors import UserError
from gnmt.files.checksums import SUMS, read_sums, sha256, text_of_sums
from gnmt.files.lines import check_files
from gnmt.files.outputs import atomic_outputs

RECORD = SUMS  # checksums of downloaded files, for comparison in later runs and on other machines


class RemoteFile(NamedTuple):
    """A file of a corpus; its name on disk is the last part of the URL."""

    url: str
    sha256: Optional[str] = None  # if known

    @property
    def name(self) -> str:
        """Name of the file on disk."""
        return self.url.rsplit("/", 1)[1]


def download(files: Sequence[RemoteFile], directory: Path, mirror: Optional[str], given: Mapping[str, str]) -> None:
    """Downloads every file that is missing or damaged.

    Args:
        files: files of the corpus.
        directory: folder for the files.
        mirror: base URL that replaces the original hosts, or None.
        given: checksums by file name, which take precedence over recorded checksums.

    Raises:
        UserError: if a file cannot be fetched or is damaged.
    """
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
    """Links to the files of a local folder, which is only read.

    Args:
        files: files of the corpus.
        directory: folder for the links.
        source: local folder with the files.
        given: checksums by file name, which take precedence over recorded checksums.

    Raises:
        UserError: if a file is missing or damaged.
    """
    directory.mkdir(parents=True, exist_ok=True)
    sums = _known_sums(files, directory, given)
    missing = [file.name for file in files if not (source / file.name).is_file()]
    if missing:
        raise UserError(f"{source} has no {', '.join(missing)}. Put it there, or leave the option out to download.")
    for file in files:
        original, path = (source / file.name).resolve(), directory / file.name
        damage = defect(original, sums.get(file.name))
        if damage:
            raise UserError(f"{original} is bad: {damage}. Replace it with a good copy of {file.url}.")
        if path.resolve() != original:
            if path.exists():
                raise UserError(f"{path} is here already. Delete it to use {original}, or leave the option out.")
            path.unlink(missing_ok=True)  # a dangling link
            path.symlink_to(original)
        _record(path, sums.get(file.name))
        print(f"{path}: local copy, checked.", file=sys.stderr)


def _known_sums(files: Sequence[RemoteFile], directory: Path, given: Mapping[str, str]) -> Dict[str, str]:
    return {**_recorded(directory), **{file.name: file.sha256 for file in files if file.sha256}, **given}


def _recorded(directory: Path) -> Dict[str, str]:
    return _sums_by_name(directory / RECORD) if (directory / RECORD).exists() else {}


def _sums_by_name(path: Path) -> Dict[str, str]:
    """Returns checksums by file name without folders."""
    check_files([path])
    return {Path(name).name: sum for name, sum in read_sums(path, "write it with sha256sum").items()}


def _record(path: Path, expected: Optional[str]) -> None:
    sums, checksum = _recorded(path.parent), expected or sha256(path)
    if sums.get(path.name) != checksum:
        with atomic_outputs([path.parent / RECORD], inputs=[], overwrite=True) as (file,):
            file.write(text_of_sums({**sums, path.name: checksum}).encode("utf-8"))


def _mirrored(url: str, mirror: Optional[str]) -> str:
    return url if mirror is None else mirror.rstrip("/") + urlsplit(url).path


def _fetch_whole(url: str, path: Path, expected: Optional[str]) -> None:
    """Fetches a file; a damaged file is fetched once more from the start, without old partial data.

    Args:
        url: address of the file.
        path: file to write.
        expected: SHA-256 of the file, or None.
    """
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
    """Returns True if the file is complete; otherwise logs the reason and renames the file.

    Args:
        path: file to check.
        expected: SHA-256 of the file, or None.
    """
    print(f"{path.name}: checking.", file=sys.stderr)
    damage = defect(path, expected)
    if damage:
        moved_path = path.with_name(path.name + ".corrupt")
        path.replace(moved_path)
        print(f"{path} is bad: {damage}. It was moved to {moved_path}.", file=sys.stderr)
    return not damage


def is_address(url: str) -> bool:
    """Returns True for an http or https URL with a host and a valid port, if any."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def given_sums(path: Optional[Path], files: Sequence[RemoteFile]) -> Dict[str, str]:
    """Reads checksums from a file of sha256sum.

    Args:
        path: file of checksums, or None.
        files: files of the corpus.

    Raises:
        UserError: if the file has none of the corpus files.
    """
    if path is None:
        return {}
    sums = _sums_by_name(path)
    if not any(file.name in sums for file in files):
        raise UserError(f"{path} has no sum of {', '.join(file.name for file in files)}: give the file of this corpus.")
    return sums
