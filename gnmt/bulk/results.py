"""State, verification and merging of a folder of shards."""

from pathlib import Path
from typing import BinaryIO, Dict, Iterator, List, NamedTuple

from gnmt.bulk import parquet
from gnmt.bulk.manifest import BulkFolder, Manifest, Shard, checksum, read_content
from gnmt.bulk.shard import Done, count_rows, read_done
from gnmt.errors import UserError
from gnmt.files.outputs import atomic_outputs
from gnmt.files.packing import packed

NAMED = 5  # maximum number of shards in an error message


class State(NamedTuple):
    """State of a bulk translation."""

    shards: int
    shards_done: int
    lines: int
    lines_done: int
    problems: int  # lines without a text, with invalid bytes, or with a truncated translation
    duplicates: int  # lines with a translation copied from an equal line
    seconds: float  # time that processes have spent on the finished shards

    @property
    def lines_per_second(self) -> float:
        """Speed of one process."""
        return self.lines_done / self.seconds if self.seconds else 0.0

    @property
    def hours_left(self) -> float:
        """Hours that one process needs for the remaining lines; 0 if no shard is done yet."""
        return (self.lines - self.lines_done) / self.lines_per_second / 3600 if self.lines_per_second else 0.0


def state_of(folder: BulkFolder, manifest: Manifest) -> State:
    """Returns the state from the records of the shards; the outputs are not read.

    Args:
        folder: holds the records.
        manifest: manifest of the folder.
    """
    done = done_shards(folder, manifest)
    return State(
        shards=len(manifest.shards),
        shards_done=len(done),
        lines=manifest.lines,
        lines_done=sum(record.lines for record in done.values()),
        problems=sum(record.problems for record in done.values()),
        duplicates=sum(record.lines - record.translated for record in done.values()),
        seconds=sum(record.seconds for record in done.values()),
    )


def done_shards(folder: BulkFolder, manifest: Manifest) -> Dict[int, Done]:
    """Returns the records of the shards that are done, by number.

    Args:
        folder: holds the records.
        manifest: manifest of the folder.
    """
    records = ((shard.number, read_done(folder, shard, manifest.job)) for shard in manifest.shards)
    return {number: record for number, record in records if record is not None}


def todo(folder: BulkFolder, manifest: Manifest) -> List[int]:
    """Returns the numbers of the shards that are not done.

    Args:
        folder: holds the records.
        manifest: manifest of the folder.
    """
    done = done_shards(folder, manifest)
    return [shard.number for shard in manifest.shards if shard.number not in done]


class Damage(NamedTuple):
    """Damaged and missing files: a sentence for each, by the number of its shard."""

    inputs: Dict[int, str]
    outputs: Dict[int, str]


def verify(folder: BulkFolder, manifest: Manifest) -> Damage:
    """Checks the checksums and the numbers of lines of all inputs and outputs.

    Args:
        folder: folder to check.
        manifest: manifest of the folder.
    """
    damage = Damage({}, {})
    for shard in manifest.shards:
        path = folder.input(shard.number, manifest.job)
        try:
            if checksum(read_content(path)) != shard.sha256:
                damage.inputs[shard.number] = f"{path} differs from its checksum."
        except UserError as error:
            damage.inputs[shard.number] = str(error)
        done = read_done(folder, shard, manifest.job)
        if done is None:
            continue
        try:
            output_of(folder, manifest, shard, done)
        except UserError as error:
            damage.outputs[shard.number] = str(error)
    return damage


def output_of(folder: BulkFolder, manifest: Manifest, shard: Shard, done: Done) -> bytes:
    """Returns the output of a finished shard.

    Args:
        folder: holds the output.
        manifest: manifest of the folder.
        shard: of the manifest.
        done: record of the shard.

    Raises:
        UserError: if the output is missing or damaged.
    """
    path = folder.output(shard.number, manifest.job)
    try:
        content = read_content(path)
        is_whole = checksum(content) == done.sha256 and count_rows(content, manifest.job.output_format) == shard.lines
    except UserError:  # it cannot be unpacked
        is_whole = False
    if not is_whole:
        raise UserError(f"{path} differs from its checksum: `gnmt bulk verify --repair` marks it for translation.")
    return content


def outputs(folder: BulkFolder, manifest: Manifest) -> Iterator[bytes]:
    """Yields the output of each shard in order.

    Args:
        folder: holds the outputs.
        manifest: manifest of the folder.

    Raises:
        UserError: if a shard is not done, or its output is missing or damaged.
    """
    missing = todo(folder, manifest)
    if missing:
        named = "number " if len(missing) == 1 else "numbers "
        named += ", ".join(map(str, missing[:NAMED])) + (", ..." if len(missing) > NAMED else "")
        raise UserError(
            f"{len(missing)} of {len(manifest.shards)} shards are not done ({named}): "
            "repeat the command that started the translation."
        )
    for shard in manifest.shards:
        done = read_done(folder, shard, manifest.job)
        assert done is not None
        yield output_of(folder, manifest, shard, done)


def merge(folder: BulkFolder, manifest: Manifest, file: BinaryIO) -> None:
    """Writes the outputs of all shards in order: one line for each line of the input.

    Args:
        folder: holds the outputs.
        manifest: manifest of the folder.
        file: destination.

    Raises:
        UserError: if a shard is not done, or its output is damaged.
    """
    contents = outputs(folder, manifest)
    if manifest.job.output_format == "parquet":
        parquet.join_parquet(contents, file)
    else:
        for content in contents:
            file.write(content)


def merge_to(folder: BulkFolder, manifest: Manifest, path: Path, overwrite: bool) -> None:
    """Writes the outputs to one file, which appears when it is complete.

    Args:
        folder: holds the outputs.
        manifest: manifest of the folder.
        path: destination; its suffix determines the compression.
        overwrite: replaces an existing file.

    Raises:
        UserError: if a shard is not done or damaged, or the file exists or cannot be written.
    """
    with atomic_outputs([path], inputs=[], overwrite=overwrite) as (file,), packed(file, path) as packing:
        merge(folder, manifest, packing)
