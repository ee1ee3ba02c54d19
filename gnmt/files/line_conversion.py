"""Files converted line by line."""

from functools import partial
from pathlib import Path
from typing import Callable, Iterable, Iterator, List, Sequence

from tqdm import tqdm

from gnmt.files.lines import check_files, count_lines, read_chunks, split_lines
from gnmt.files.outputs import atomic_outputs
from gnmt.files.process_pool import check_jobs, ordered_map

Conversion = Callable[[str], str]  # of a line, without its end; processes are sent it
ChunkConversion = Callable[[Iterator[bytes]], Iterable[List[str]]]  # of parts of a file to the new lines of each


def convert_lines(convert: Conversion, chunk: bytes) -> List[str]:
    """Returns the conversion of each line of a chunk."""
    return [convert(line) for line in split_lines(chunk)]


def convert_file(
    convert: Conversion, source: Path, output: Path, *, inputs: Sequence[Path] = (), jobs: int, overwrite: bool
) -> None:
    """Writes the conversion of each line; `jobs` processes give the same output as one.

    `inputs` are other files that are being read, which cannot be the output either.
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
    """Converts a file like `convert_file`, many lines in one call."""
    check_files([source])
    with atomic_outputs([output], inputs=[source, *inputs], overwrite=overwrite) as (file,):
        with tqdm(total=count_lines(source), desc=source.name, unit=" lines", unit_scale=True) as progress:
            for lines in convert(read_chunks(source)):
                file.write("".join(f"{line}\n" for line in lines).encode("utf-8"))
                progress.update(len(lines))
