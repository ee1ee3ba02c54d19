"""Conversion of files line by line."""

from functools import partial
from pathlib import Path
from typing import Callable, Iterable, Iterator, List, Sequence

from gnmt.files.lines import check_files, count_lines, read_chunks, split_lines
from gnmt.files.outputs import atomic_outputs
from gnmt.files.process_pool import check_jobs, ordered_map
from gnmt.files.progress import progress_bar

Conversion = Callable[[str], str]  # maps a line without its end; must be picklable
ChunkConversion = Callable[[Iterator[bytes]], Iterable[List[str]]]  # maps chunks of a file to their new lines


def convert_lines(convert: Conversion, chunk: bytes) -> List[str]:
    """Returns the conversion of each line of a chunk.

    Args:
        convert: conversion of a line.
        chunk: whole lines.
    """
    return [convert(line) for line in split_lines(chunk)]


def convert_file(
    convert: Conversion, source: Path, output: Path, *, inputs: Sequence[Path] = (), jobs: int, overwrite: bool
) -> None:
    """Writes the conversion of each line.

    Args:
        convert: conversion of a line.
        source: file to read.
        output: file to write.
        inputs: other files in use, which must differ from the output.
        jobs: number of processes, which does not change the output.
        overwrite: replace an existing output.
    """
    check_jobs(jobs)
    convert_in_chunks(
        lambda chunks: ordered_map(partial(convert_lines, convert), chunks, jobs),
        source,
        output,
        inputs=inputs,
        overwrite=overwrite,
    )


def convert_in_chunks(
    convert: ChunkConversion, source: Path, output: Path, *, inputs: Sequence[Path] = (), overwrite: bool
) -> None:
    """Writes the conversion of each line, computed for many lines in one call.

    Args:
        convert: conversion of chunks.
        source: file to read.
        output: file to write.
        inputs: other files in use, which must differ from the output.
        overwrite: replace an existing output.
    """
    check_files([source])
    with atomic_outputs([output], inputs=[source, *inputs], overwrite=overwrite) as (file,):
        with progress_bar(total=count_lines(source), name=source.name, unit="lines") as progress:
            for lines in convert(read_chunks(source)):
                file.write("".join(f"{line}\n" for line in lines).encode("utf-8"))
                progress.update(len(lines))
