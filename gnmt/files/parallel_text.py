"""Parallel text: pairs of line-aligned files."""

from itertools import chain
from pathlib import Path
from typing import Iterator, Sequence, Tuple

from gnmt.errors import UserError
from gnmt.files.lines import count_lines, read_chunks
from gnmt.files.process_pool import ordered_map
from gnmt.files.progress import progress_bar

ChunkPair = Tuple[bytes, bytes]  # corresponding lines of source and target


def count_pairs(sources: Sequence[Path], targets: Sequence[Path], jobs: int) -> int:
    """Returns the number of pairs in all files together.

    Args:
        sources: source files.
        targets: target files.
        jobs: number of processes.

    Raises:
        UserError: if a file cannot be read, or numbers of files or lines differ.
    """
    if len(sources) != len(targets):
        raise UserError(
            f"--source has {len(sources)} files and --target has {len(targets)}: "
            f"give one target for each source, in the same order."
        )
    paths = [*sources, *targets]
    counts = list(progress_bar(ordered_map(count_lines, paths, jobs), total=len(paths), name="checking", unit="files"))
    for source, target, source_lines, target_lines in zip(sources, targets, counts, counts[len(sources) :]):
        if source_lines != target_lines:
            raise UserError(
                f"{source} has {source_lines} lines but {target} has {target_lines}, and line n of one must "
                f"translate line n of the other: fetch or extract both again."
            )
    return sum(counts[: len(sources)])


def read_pairs(sources: Sequence[Path], targets: Sequence[Path]) -> Iterator[ChunkPair]:
    """Yields chunks of all files in the given order.

    Args:
        sources: source files.
        targets: target files; each must have the number of lines of its source.
    """
    return chain.from_iterable(
        zip(read_chunks(source), read_chunks(target), strict=True) for source, target in zip(sources, targets)
    )
