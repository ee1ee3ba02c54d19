"""Engine `local`: processes of this machine, each with its own models and its own cores.

Processes are spawned, never forked: torch does not survive a fork. A process that is killed is replaced, and its shard
is translated again. The processes end with their parent, however it ends.
"""

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Deque, Dict, List, Optional, Sequence, Tuple

from gnmt.bulk.manifest import BulkFolder, Manifest, read_manifest
from gnmt.bulk.progress import Counter
from gnmt.bulk.shard import ShardTranslator
from gnmt.errors import UserError
from gnmt.files.process_pool import available_cores

MOST_TRIES = 3  # of a shard whose process is killed
MOST_FAILURES = 5  # failed shards after which no further one is begun
SECONDS_BETWEEN_REPORTS = 0.5
LINES, DONE, FAILED, REFUSED, KILLED = "lines", "done", "failed", "refused", "killed"  # what is heard of a process


@dataclass(frozen=True)
class Resources:
    """Processes, and what each of them gets."""

    workers: int
    threads: int  # of each process
    devices: Sequence[str] = ("cpu",)  # given to the processes in turn


@dataclass
class _Worker:
    """Process, the shard that it translates, and the lines of it that are translated."""

    index: int
    process: Any
    connection: Connection
    shard: int
    lines: int = 0

    def begin(self, shard: Optional[int]) -> None:
        """Hands over the next shard; None ends the process."""
        with suppress(OSError):  # it was killed, which shows when its next message is awaited
            self.connection.send(shard)
        if shard is not None:
            self.shard, self.lines = shard, 0

    def received(self) -> Tuple[str, Any]:
        """Returns the kind and the value of the next message."""
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            return KILLED, "its process was killed, perhaps for want of memory: use fewer --workers"


def run(
    folder: BulkFolder, manifest: Manifest, todo: Sequence[int], resources: Resources, counter: Counter
) -> Dict[int, str]:
    """Translates shards; returns the reason for each one that failed.

    Raises:
        UserError: the models cannot be loaded.
    """
    waiting: Deque[int] = deque(todo)
    tries: Dict[int, int] = dict.fromkeys(todo, 0)
    failures: Dict[int, str] = {}
    workers: Dict[Connection, _Worker] = {}
    started: List[_Worker] = []

    def start(index: int, shard: int) -> None:
        worker = _start(index, folder, resources, shard)
        workers[worker.connection] = worker
        started.append(worker)

    try:
        for index in range(min(resources.workers, len(waiting))):
            start(index, waiting.popleft())
        while workers:
            for connection in wait(list(workers)):
                worker = workers[connection]  # type: ignore[index]
                kind, value = worker.received()
                if kind == REFUSED:
                    raise UserError(value)
                if kind == LINES:
                    counter.add(value)
                    worker.lines += value
                    continue
                tries[worker.shard] += 1
                if kind == DONE:
                    counter.add(manifest.shards[worker.shard].lines - worker.lines)
                else:
                    counter.add(-worker.lines)
                    if kind == KILLED and tries[worker.shard] < MOST_TRIES:
                        waiting.append(worker.shard)
                    else:
                        failures[worker.shard] = value
                shard = waiting.popleft() if waiting and len(failures) < MOST_FAILURES else None
                if kind == KILLED or shard is None:
                    del workers[worker.connection]
                if kind != KILLED:
                    worker.begin(shard)
                elif shard is not None:
                    start(worker.index, shard)
    except BaseException:
        for worker in started:
            worker.process.kill()
        raise
    finally:
        for worker in started:
            worker.process.join()
    return failures


def _start(index: int, folder: BulkFolder, resources: Resources, shard: int) -> _Worker:
    ours, theirs = multiprocessing.Pipe()
    cores = _cores_of(index, resources)
    device = resources.devices[index % len(resources.devices)]
    process = multiprocessing.get_context("spawn").Process(
        target=_work, args=(theirs, folder, shard, device, resources.threads, cores), daemon=True
    )
    process.start()
    theirs.close()
    return _Worker(index, process, ours, shard)


def _cores_of(index: int, resources: Resources) -> List[int]:
    """Returns the cores that a process is pinned to; none if there are not enough for every process."""
    if not hasattr(os, "sched_getaffinity") or resources.workers * resources.threads > available_cores():
        return []
    cores = sorted(os.sched_getaffinity(0))
    return cores[index * resources.threads : (index + 1) * resources.threads]


# -- in the process


def _work(connection: Connection, folder: BulkFolder, shard: int, device: str, threads: int, cores: List[int]) -> None:
    _end_with_parent()
    if cores:
        os.sched_setaffinity(0, cores)
    try:
        translator = ShardTranslator(folder, read_manifest(folder), device, threads)
    except UserError as error:
        connection.send((REFUSED, str(error)))
        return
    number: Optional[int] = shard
    while number is not None:
        report = _Report(connection)
        try:
            translator.translate(number, report)
            connection.send((DONE, None))
        except (OSError, RuntimeError, ValueError) as error:  # of users, disks, torch and pyarrow
            connection.send((FAILED, str(error)))
        number = connection.recv()


class _Report:
    """Sends numbers of translated lines, not too often."""

    def __init__(self, connection: Connection):
        self._connection = connection
        self._lines = 0
        self._sent = time.monotonic()

    def __call__(self, lines: int) -> None:
        self._lines += lines
        if time.monotonic() - self._sent > SECONDS_BETWEEN_REPORTS:
            self._connection.send((LINES, self._lines))
            self._lines, self._sent = 0, time.monotonic()


def _end_with_parent() -> None:
    """Leaves Ctrl-C to the parent, and ends this process when the parent is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch(process: Any) -> None:
        process.join()
        os._exit(1)

    threading.Thread(target=watch, args=(parent,), daemon=True).start()
