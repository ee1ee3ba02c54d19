"""Files converted line by line."""
from functools import partial
from pathlib import Path
from typing import Callable, List, Sequence

from tqdm import tqdm

from fairseq_gnmt.data.parallel_text import atomic_outputs, check_files, count_lines, read_chunks, split_lines
from fairseq_gnmt.data.process_pool import check_jobs, ordered_map

Conversion = Callable[[str], str]  # of a line, without its end; processes are sent it


def convert_chunk(convert: Conversion, chunk: bytes) -> List[str]:
    return [convert(line) for line in split_lines(chunk)]


def convert_file(
    convert: Conversion, source: Path, output: Path, *, inputs: Sequence[Path] = (), jobs: int, overwrite: bool
) -> None:
    """Writes the conversion of each line; `jobs` processes give the same output as one.

    `inputs` are other files that are being read, which cannot be the output either.
    """
    check_jobs(jobs)
    check_files([source])
    with atomic_outputs([output], inputs=[source, *inputs], overwrite=overwrite) as (file,):
        with tqdm(total=count_lines(source), desc=source.name, unit=" lines", unit_scale=True) as progress:
            for lines in ordered_map(partial(convert_chunk, convert), read_chunks(source), jobs):
                file.write("".join(f"{line}\n" for line in lines).encode("utf-8"))
                progress.update(len(lines))
