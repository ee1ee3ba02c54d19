"""The folder of a bulk translation, and its manifest: the job, the input, and the shards with their checksums.

FOLDER/manifest.json          written once, after all shards of the input
FOLDER/input/000017.zst       shard of the input
FOLDER/output/000017.zst      its translation, line by line; .parquet for Parquet
FOLDER/problems/000017.jsonl  lines that could not be translated as they are, if there are any
FOLDER/done/000017.json       written last: the shard is done
"""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Tuple

from gnmt.bulk.job import Job, from_object
from gnmt.errors import UserError
from gnmt.files.outputs import atomic_outputs
from gnmt.files.packing import packed
from gnmt.files.unpacking import open_unpacked

VERSION = 2  # of the layout of the folder


@dataclass(frozen=True)
class Shard:
    """Part of the input."""

    number: int
    first: int  # number of its first line, from 0
    lines: int
    sha256: str  # of its unpacked content


@dataclass(frozen=True)
class Manifest:
    """Plan of a bulk translation."""

    job: Job
    input: str  # path of the input
    sha256: str  # of the unpacked input; for Parquet, of the file
    shards: Tuple[Shard, ...]

    @property
    def lines(self) -> int:
        """Lines of the input."""
        return sum(shard.lines for shard in self.shards)


@dataclass(frozen=True)
class BulkFolder:
    """Paths in the folder of a bulk translation."""

    path: Path

    @property
    def manifest(self) -> Path:
        """Path of the manifest."""
        return self.path / "manifest.json"

    def input(self, number: int, job: Job) -> Path:
        """Returns the path of a shard of the input.

        Args:
            number: number of the shard.
            job: determines the suffix.
        """
        return self.path / "input" / f"{number:06d}{_suffix(job.input_format)}"

    def output(self, number: int, job: Job) -> Path:
        """Returns the path of the translation of a shard.

        Args:
            number: number of the shard.
            job: determines the suffix.
        """
        return self.path / "output" / f"{number:06d}{_suffix(job.output_format)}"

    def problems(self, number: int) -> Path:
        """Returns the path of the problems of a shard."""
        return self.path / "problems" / f"{number:06d}.jsonl"

    def done(self, number: int) -> Path:
        """Returns the path of the record that a shard is done."""
        return self.path / "done" / f"{number:06d}.json"


def _suffix(name: str) -> str:
    return ".parquet" if name == "parquet" else ".zst"


# -- content of shards


def read_content(path: Path) -> bytes:
    """Returns the unpacked content of a shard. Raises UserError if it is missing or damaged."""
    if not path.is_file():
        raise UserError(f"{path} is missing: restore it, or start with a new folder.")
    with open_unpacked(path) as file:
        return file.read()


def write_content(path: Path, content: bytes) -> None:
    """Writes a shard; the file appears when it is complete and on the disk. A link of this name is replaced, not followed.

    Args:
        path: file to write.
        content: unpacked content.
    """
    opened = atomic_outputs([path], inputs=[], overwrite=True, follow_links=False)
    with opened as (file,), packed(file, path) as packing:
        packing.write(content)


def checksum(content: bytes) -> str:
    """Returns the SHA-256 checksum of a shard."""
    return hashlib.sha256(content).hexdigest()


# -- the manifest


def write_manifest(folder: BulkFolder, manifest: Manifest) -> None:
    """Writes the manifest of a folder, which must not have one yet.

    Args:
        folder: folder with all shards of the input.
        manifest: job, input and shards.
    """
    content = {"version": VERSION, **dataclasses.asdict(manifest)}
    content["checksum"] = _sum_of(content)
    with atomic_outputs([folder.manifest], inputs=[], overwrite=False) as (file,):
        file.write(json.dumps(content, ensure_ascii=False, indent=1).encode("utf-8", errors="backslashreplace"))


def read_manifest(folder: BulkFolder) -> Manifest:
    """Returns the manifest of a folder. Raises UserError if there is none, or if it is damaged."""
    if not folder.manifest.is_file():
        raise UserError(f"{folder.path} has no {folder.manifest.name}: name the output folder of `gnmt bulk`.")
    try:
        content = json.loads(folder.manifest.read_text(encoding="utf-8"))
        if content["version"] != VERSION:
            raise UserError(f"{folder.manifest} has the version {content['version']}, not {VERSION}: use that version.")
        if content.pop("checksum") != _sum_of(content):
            raise ValueError("its checksum differs")
        return Manifest(
            job=from_object(content["job"]),
            input=content["input"],
            sha256=content["sha256"],
            shards=tuple(Shard(**shard) for shard in content["shards"]),
        )
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{folder.manifest} is damaged ({error}): restore it, or start with a new folder.") from error


def _sum_of(content: Dict[str, Any]) -> str:
    """Returns the SHA-256 checksum of the object in a manifest."""
    return checksum(json.dumps(content, sort_keys=True).encode("ascii"))


def shard_of(manifest: Manifest, number: int) -> Shard:
    """Returns a shard by its number.

    Args:
        manifest: manifest of the folder.
        number: number of the shard, from 0.

    Raises:
        UserError: if there is no such shard.
    """
    if not 0 <= number < len(manifest.shards):
        raise UserError(f"There is no shard {number}: there are {len(manifest.shards)} shards, counted from 0.")
    return manifest.shards[number]
