"""Default number of lines of a shard."""

import math
from typing import Optional

MAX_LINES = 20_000  # default number of lines of a shard of a large input
SHARDS_PER_WORKER = 4  # of a small input: an interrupted run loses less, and all processes end at about the same time
MIN_BATCHES = 4  # of a shard: sentences are sorted by length within a shard


def default_lines_per_shard(lines: Optional[int], workers: int, batch_size: int) -> int:
    """Returns the number of lines with which each process gets SHARDS_PER_WORKER shards of a small input.

    Args:
        lines: number of lines of the input; None if it is not known before the input is divided.
        workers: number of processes.
        batch_size: number of sentences of a batch; a shard has at least MIN_BATCHES.
    """
    if lines is None:
        return MAX_LINES
    return min(MAX_LINES, max(MIN_BATCHES * batch_size, math.ceil(lines / (SHARDS_PER_WORKER * workers))))
