"""Planning of a bulk translation: divides the input into shards, or compares it with an existing manifest."""

import dataclasses
import hashlib
import io
import re
import sys
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Iterator, List, Optional, Tuple

from gnmt.bulk import parquet
from gnmt.bulk.formats import READERS, cut_lines
from gnmt.bulk.job import Job, check_same
from gnmt.bulk.manifest import BulkFolder, Manifest, Shard, checksum, read_manifest, write_content, write_manifest
from gnmt.bulk.shard_size import MAX_LINES, SHARDS_PER_WORKER, default_lines_per_shard
from gnmt.errors import UserError
from gnmt.files.checksums import sha256
from gnmt.files.lines import bounded_lines, check_files
from gnmt.files.unpacking import BLOCK, open_unpacked, unpacked

STANDARD_INPUT = Path("-")
SHARD_NAME = re.compile(r"[0-9]{6,}\.(zst|parquet)|\..+\.partial")


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
    check_same(manifest.job, job, folder.path)
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
        if number == 0:
            _check_column(content, job)
        digest.update(content)
        write_content(folder.input(number, job), content)
        shards.append(Shard(number, first, lines, checksum(content)))
        first += lines
    sum_of_input = sha256(source) if job.input_format == "parquet" else digest.hexdigest()
    manifest = Manifest(job, str(source), sum_of_input, tuple(shards))
    write_manifest(folder, manifest)
    return manifest


def _check_column(content: bytes, job: Job) -> None:
    """Checks that a line of the first shard has the column or key; `parquet.cut_rows` checks the column of Parquet.

    A shard of a single line is accepted, because its problem may be a problem of this line only.

    Args:
        content: first shard of the input.
        job: determines the format and the column.

    Raises:
        UserError: if no line has a text to translate.
    """
    if job.input_format not in ("tsv", "jsonl"):
        return
    rows = READERS[job.input_format](content, job.column)
    if len(rows) > 1 and all(row.problem and not row.text for row in rows):
        raise UserError(
            f"The input has no text to translate up to line {len(rows)} (line 1: {rows[0].problem}): "
            f"check --column {job.column} and the format."
        )


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
