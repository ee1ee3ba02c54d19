"""The folder of a bulk translation, and its manifest: the job, the input, and the shards with their checksums.

FOLDER/manifest.json          written once, after all shards of the input
FOLDER/input/000017.zst       shard of the input
FOLDER/output/000017.zst      its translation, line by line; .parquet for Parquet
FOLDER/problems/000017.jsonl  lines that could not be translated as they are, if there are any
FOLDER/done/000017.json       written last: the shard is done
"""

import dataclasses
import hashlib
import io
import json
import re
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Dict, Iterator, List, Optional, Tuple

from gnmt.bulk import job as jobs
from gnmt.bulk import parquet
from gnmt.bulk.formats import cut_lines
from gnmt.bulk.job import Job
from gnmt.bulk.shard_size import MAX_LINES, SHARDS_PER_WORKER, default_lines_per_shard
from gnmt.errors import UserError
from gnmt.files.checksums import sha256
from gnmt.files.lines import bounded_lines, check_files
from gnmt.files.outputs import atomic_outputs
from gnmt.files.packing import packed
from gnmt.files.unpacking import BLOCK, open_unpacked, unpacked

STANDARD_INPUT = Path("-")
VERSION = 2  # of the layout of the folder
SHARD_NAME = re.compile(r"[0-9]{6,}\.(zst|parquet)|\..+\.partial")


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


# -- planning


def plan(folder: BulkFolder, job: Job, source: Path, workers: int) -> Manifest:
    """Divides the input into shards and writes the manifest. An existing manifest is compared with the job and the input.

    Args:
        folder: must be locked by the caller.
        job: models and options.
        source: plain or compressed file, or "-" for stdin.
        workers: number of processes that share the shards; determines the default size of a shard.

    Raises:
        UserError: if the input cannot be read, or the folder belongs to another input, model or option.
    """
    if source != STANDARD_INPUT:
        check_files([source])
    elif job.input_format == "parquet":
        raise UserError("Parquet cannot be read from stdin: give the name of a file.")
    return _continue(folder, job, source) if folder.manifest.exists() else _begin(folder, job, source, workers)


def _continue(folder: BulkFolder, job: Job, source: Path) -> Manifest:
    """Returns the existing manifest after checks of the job and the input.

    Args:
        folder: folder with a manifest.
        job: job of the command line.
        source: input of the command line.
    """
    manifest = read_manifest(folder)
    if job.lines_per_shard is None:
        job = dataclasses.replace(job, lines_per_shard=manifest.job.lines_per_shard)
    jobs.check_same(manifest.job, job, folder.path)
    if input_checksum(source, job) != manifest.sha256:
        if str(source) == manifest.input:
            raise UserError(
                f"{source} has changed since {folder.path} was started: restore it, or give another --output folder."
            )
        raise UserError(f"{folder.path} was started with another input, {manifest.input}: give it, or another folder.")
    return manifest


def _begin(folder: BulkFolder, job: Job, source: Path, workers: int) -> Manifest:
    """Writes the shards of the input, then the manifest.

    Args:
        folder: folder without a manifest.
        job: models and options.
        source: input, or "-" for stdin.
        workers: number of processes that share the shards.
    """
    _remove_unfinished_plan(folder)
    if job.lines_per_shard is None:
        lines = _count_lines(source, job, MAX_LINES * SHARDS_PER_WORKER * workers)
        job = dataclasses.replace(job, lines_per_shard=default_lines_per_shard(lines, workers, job.options.batch_size))
    shards: List[Shard] = []
    digest = hashlib.sha256()
    first = 0
    for number, (lines, content) in enumerate(_cut(source, job)):
        digest.update(content)
        write_content(folder.input(number, job), content)
        shards.append(Shard(number, first, lines, checksum(content)))
        first += lines
    sum_of_input = sha256(source) if job.input_format == "parquet" else digest.hexdigest()
    manifest = Manifest(job, str(source), sum_of_input, tuple(shards))
    plan_object = {"version": VERSION, **dataclasses.asdict(manifest)}
    plan_object["checksum"] = _sum_of(plan_object)
    with atomic_outputs([folder.manifest], inputs=[], overwrite=False) as (file,):
        file.write(json.dumps(plan_object, ensure_ascii=False, indent=1).encode("utf-8", errors="backslashreplace"))
    return manifest


def _remove_unfinished_plan(folder: BulkFolder) -> None:
    """Removes the shards of a run that was killed before it wrote a manifest.

    Raises:
        UserError: if the folder has other files.
    """
    shards = folder.path / "input"
    shard_paths = list(shards.iterdir()) if shards.is_dir() else []
    other_paths = [path for path in folder.path.iterdir() if path != shards or not shards.is_dir()]
    foreign_files = [path for path in other_paths if not path.name.startswith(".")]  # .lock, and partial files
    foreign_files += [path for path in shard_paths if not SHARD_NAME.fullmatch(path.name)]
    if foreign_files:
        raise UserError(
            f"{folder.path} has other files, such as {foreign_files[0].name}: choose an empty or a new folder."
        )
    for path in shard_paths:
        path.unlink()


def input_checksum(source: Path, job: Job) -> str:
    """Returns the checksum of an input for comparison with the manifest; reads stdin to its end.

    Args:
        source: file, or "-" for stdin.
        job: determines the format.
    """
    if job.input_format == "parquet":
        return sha256(source)
    checksum = hashlib.sha256()
    with _opened(source) as file:
        while block := file.read(BLOCK):
            checksum.update(block)
    return checksum.hexdigest()


def _count_lines(source: Path, job: Job, limit: int) -> Optional[int]:
    """Returns the number of lines of a file; None for stdin, which can be read only once.

    Args:
        source: input, or "-" for stdin.
        job: determines the format.
        limit: number of lines at which counting stops.
    """
    if source == STANDARD_INPUT:
        return None
    if job.input_format == "parquet":
        return parquet.count_rows_of(source)
    with _opened(source) as file:
        return sum(1 for _ in islice(bounded_lines(file, "The input"), limit))


def _cut(source: Path, job: Job) -> Iterator[Tuple[int, bytes]]:
    assert job.lines_per_shard is not None
    if job.input_format == "parquet":
        yield from parquet.cut_rows(source, job.column, job.lines_per_shard)
        return
    with _opened(source) as file:
        yield from cut_lines(file, job.lines_per_shard)


@contextmanager
def _opened(source: Path) -> Iterator[BinaryIO]:
    if source != STANDARD_INPUT:
        with open_unpacked(source) as file:
            yield file
        return
    assert isinstance(sys.stdin.buffer, io.BufferedReader)
    with unpacked(sys.stdin.buffer, "stdin") as file:
        yield file


def _sum_of(content: Dict[str, Any]) -> str:
    """Returns the SHA-256 checksum of the object in a manifest."""
    return checksum(json.dumps(content, sort_keys=True).encode("ascii"))


# -- reading


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
            job=jobs.from_object(content["job"]),
            input=content["input"],
            sha256=content["sha256"],
            shards=tuple(Shard(**shard) for shard in content["shards"]),
        )
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{folder.manifest} is damaged ({error}): restore it, or start with a new folder.") from error


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
