"""Engine `print`: one command for each shard, for schedulers such as Slurm and GNU parallel."""

import shlex
from typing import Iterator, Sequence

from gnmt.bulk.manifest import BulkFolder


def commands(folder: BulkFolder, todo: Sequence[int], threads: int, device: str) -> Iterator[str]:
    """Yields a shell command for each shard.

    Args:
        folder: folder of the shards.
        todo: numbers of the shards.
        threads: number of threads of each command.
        device: torch device of each command.
    """
    options = ["--threads", str(threads), *(["--device", device] if device != "cpu" else [])]
    for number in todo:
        yield shlex.join(["gnmt", "bulk", "shard", str(folder.path.resolve()), str(number), *options])
