"""Engine `print`: one command for each shard, for Slurm, GNU parallel and the like."""

import shlex
from typing import Iterator, Sequence

from gnmt.bulk.manifest import BulkFolder


def commands(folder: BulkFolder, todo: Sequence[int], threads: int, device: str) -> Iterator[str]:
    """Yields a shell command for each shard."""
    options = ["--threads", str(threads), *(["--device", device] if device != "cpu" else [])]
    for number in todo:
        yield shlex.join(["gnmt", "bulk", "shard", str(folder.path.resolve()), str(number), *options])
