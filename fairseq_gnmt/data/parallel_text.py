"""Parallel text: pairs of line-aligned files, and outputs that appear under their names only when complete."""
import errno
import os
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Iterator, List, Sequence, Tuple

from tqdm import tqdm

from fairseq_gnmt.data.process_pool import ordered_map
from fairseq_gnmt.errors import UserError
from gnmt.files.lines import count_lines, read_chunks

DISK_IS_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

ChunkPair = Tuple[bytes, bytes]  # the same lines of source and target


def count_pairs(sources: Sequence[Path], targets: Sequence[Path], jobs: int) -> int:
    """Pairs in all files together; raises UserError for any file that cannot be used."""
    if len(sources) != len(targets):
        raise UserError(
            f"--source has {len(sources)} files and --target has {len(targets)}: "
            f"give one target for each source, in the same order."
        )
    paths = [*sources, *targets]
    counts = list(tqdm(ordered_map(count_lines, paths, jobs), total=len(paths), desc="checking", unit=" files"))
    for source, target, source_lines, target_lines in zip(sources, targets, counts, counts[len(sources) :]):
        if source_lines != target_lines:
            raise UserError(
                f"{source} has {source_lines} lines but {target} has {target_lines}, and line n of one must "
                f"translate line n of the other: fetch or extract both again."
            )
    return sum(counts[: len(sources)])


def read_pairs(sources: Sequence[Path], targets: Sequence[Path]) -> Iterator[ChunkPair]:
    """Chunks of all files in the order given; each source must be as long as its target."""
    return chain.from_iterable(
        zip(read_chunks(source), read_chunks(target), strict=True) for source, target in zip(sources, targets)
    )


def _create(path: Path) -> BinaryIO:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return open(path, "wb")
    except OSError as error:
        raise UserError(f"Cannot write to the folder {path.parent} ({error.strerror}): choose another.") from error


@contextmanager
def atomic_outputs(
    paths: Sequence[Path], *, inputs: Sequence[Path], overwrite: bool
) -> Iterator[List[BinaryIO]]:
    """Open files that appear under their names, in the order given, only if the block succeeds.

    They are written beside their final place and moved there, so a run that is interrupted leaves what was
    there before, and one that is killed also hidden files that end in .partial. Raises UserError, before
    anything is written, for an output that exists (unless `overwrite`), that is one of `inputs`, or whose
    folder cannot be written.
    """
    if len(set(paths)) < len(paths):
        raise UserError(f"Two outputs share the name {paths[0]}: give them different names.")
    for path in paths:
        if path.is_dir():
            raise UserError(f"{path} is a folder: give the name of a file.")
        if any(path.exists() and path.samefile(source) for source in inputs):
            raise UserError(f"{path} is an input too: choose another output.")
        if path.exists() and not overwrite:
            raise UserError(f"{path} exists: choose another output, or replace it with --overwrite.")

    unfinished = [path.with_name(f".{path.name}.{os.getpid()}.partial") for path in paths]
    with ExitStack() as cleanup:
        files = []
        for path in unfinished:
            files.append(cleanup.enter_context(_create(path)))
            cleanup.callback(path.unlink, missing_ok=True)
        try:
            yield files
            for file in files:
                file.close()  # a full disk shows here at the latest, before anything is replaced
        except (OSError, RuntimeError) as error:
            reason = error if isinstance(error, OSError) else error.__context__  # torch.save has its own on top
            if not isinstance(reason, OSError) or reason.errno not in DISK_IS_FULL:
                raise
            raise UserError(f"{paths[0]} could not be written ({reason.strerror}): make room on its disk.") from error
        for path, final in zip(unfinished, paths):
            path.replace(final)
