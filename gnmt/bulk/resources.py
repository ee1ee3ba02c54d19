"""Processes, threads and devices of a bulk translation."""

from dataclasses import dataclass
from pathlib import Path
from typing import Sequence

from gnmt.machine import available_cores, available_memory

PROCESS_BYTES = 1 << 30  # memory of a process without its model; 0.6 GiB measured
COPIES_OF_MODEL = 4  # memory for a model, divided by the size of its files; 2.7 measured
SHARE_OF_MEMORY = 0.5


@dataclass(frozen=True)
class Resources:
    """Number of processes, and the threads and device of each."""

    workers: int
    threads: int  # of each process
    devices: Sequence[str] = ("cpu",)  # assigned to the processes in turn

    def for_shards(self, count: int) -> "Resources":
        """Returns the same number of threads in at most one process per shard.

        Args:
            count: number of shards.
        """
        workers = max(1, min(self.workers, count))
        return Resources(workers, self.workers * self.threads // workers, self.devices)


def default_workers(models: Sequence[Path], threads: int) -> int:
    """Returns the number of processes that occupy all cores, or fewer that need half of the available memory.

    Several processes with one thread each are faster than one process with several threads, whose threads wait for each
    other in every operation.

    Args:
        models: model folders, which each process loads.
        threads: number of threads of each process.
    """
    memory = available_memory()
    if memory is None:
        return 1
    model_bytes = sum(path.stat().st_size for model in models for path in model.iterdir() if path.is_file())
    process_bytes = PROCESS_BYTES + COPIES_OF_MODEL * model_bytes
    return max(1, min(available_cores() // threads, int(SHARE_OF_MEMORY * memory) // process_bytes))
