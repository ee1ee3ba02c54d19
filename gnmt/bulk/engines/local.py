"""Engine `local`: processes on this machine, each with its own models and its own cores.

Processes are spawned, never forked, because torch does not support forking after its threads have started. A killed
process is replaced, and its shard is translated again. All processes exit when their parent exits or is killed.
"""

import multiprocessing
import os
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Deque, Dict, List, Optional, Sequence, Tuple

from gnmt.bulk.manifest import BulkFolder, Manifest, read_manifest
from gnmt.bulk.progress import Counter
from gnmt.bulk.resources import Resources
from gnmt.bulk.shard import ShardTranslator
from gnmt.errors import UserError
from gnmt.files.process_pool import end_with_parent
from gnmt.machine import available_cores

MAX_TRIES = 3  # attempts to translate a shard before it fails, if its process is killed
MAX_FAILURES = 5  # number of failed shards after which no further shard is started
SECONDS_BETWEEN_REPORTS = 0.5
LINES, DONE, FAILED, REFUSED, KILLED = "lines", "done", "failed", "refused", "killed"  # kinds of messages of a process


@dataclass
class _Worker:
    """Process, its current shard, and the number of translated lines of this shard."""

    index: int
    process: Any
    connection: Connection
    shard: int
    lines: int = 0

    def begin(self, shard: Optional[int]) -> None:
        """Sends the number of the next shard; None ends the process."""
        with suppress(OSError):  # the process was killed, which `received` reports
            self.connection.send(shard)
        if shard is not None:
            self.shard, self.lines = shard, 0

    def received(self) -> Tuple[str, Any]:
        """Returns the kind and the value of the next message."""
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            return KILLED, "its process was killed, perhaps for lack of memory: use fewer --workers"


def check_devices(names: Sequence[str]) -> None:
    """Checks that this machine has the devices.

    Args:
        names: torch devices, such as "cpu" or "cuda:0".

    Raises:
        UserError: for the first device that is not available.
    """
    if any(name != "cpu" for name in names):
        from gnmt.translation.device import available_device  # imports torch

        for name in names:
            available_device(name)


def run(
    folder: BulkFolder, manifest: Manifest, todo: Sequence[int], resources: Resources, counter: Counter
) -> Dict[int, str]:
    """Translates shards with processes of this machine.

    Args:
        folder: folder of the shards.
        manifest: manifest of the folder.
        todo: numbers of the shards.
        resources: number of processes, and the threads and device of each.
        counter: counts translated lines.

    Returns:
        The error message of each failed shard, by its number.

    Raises:
        UserError: if the models cannot be loaded.
    """
    pool = _Pool(folder, manifest, todo, resources, counter)
    try:
        pool.run()
    except BaseException:
        for worker in pool.started:
            worker.process.kill()
        raise
    finally:
        for worker in pool.started:
            worker.process.join()
    return pool.failures


class _Pool:
    """Running processes, waiting shards and failed shards.

    Args:
        folder: folder of the shards.
        manifest: manifest of the folder.
        todo: numbers of the shards.
        resources: number of processes, and the threads and device of each.
        counter: counts translated lines.
    """

    def __init__(
        self, folder: BulkFolder, manifest: Manifest, todo: Sequence[int], resources: Resources, counter: Counter
    ):
        self.started: List[_Worker] = []
        self.failures: Dict[int, str] = {}
        self._folder, self._manifest, self._resources, self._counter = folder, manifest, resources, counter
        self._waiting: Deque[int] = deque(todo)
        self._tries: Dict[int, int] = dict.fromkeys(todo, 0)
        self._working: Dict[Any, _Worker] = {}  # by connection

    def run(self) -> None:
        """Translates all shards, and returns when no process has a shard."""
        for index in range(min(self._resources.workers, len(self._waiting))):
            self._start(index, self._waiting.popleft())
        while self._working:
            for connection in wait(list(self._working)):
                worker = self._working[connection]
                kind, value = worker.received()
                if kind == REFUSED:
                    raise UserError(value)
                if kind == LINES:
                    self._count(worker, value)
                else:
                    self._end_shard(worker, kind, value)
                    self._begin_next(worker, is_alive=kind != KILLED)

    def _start(self, index: int, shard: int) -> None:
        worker = _start(index, self._folder, self._resources, shard)
        self.started.append(worker)
        self._working[worker.connection] = worker

    def _count(self, worker: _Worker, lines: int) -> None:
        self._counter.add(lines)
        worker.lines += lines

    def _end_shard(self, worker: _Worker, kind: str, reason: str) -> None:
        """Counts a finished shard. Subtracts the lines of an unfinished shard, which is queued again after a kill.

        Args:
            worker: process of the shard.
            kind: DONE, FAILED or KILLED.
            reason: error message, unless the shard is done.
        """
        self._tries[worker.shard] += 1
        if kind == DONE:
            self._count(worker, self._manifest.shards[worker.shard].lines - worker.lines)
            return
        self._count(worker, -worker.lines)
        if kind == KILLED and self._tries[worker.shard] < MAX_TRIES:
            self._waiting.append(worker.shard)
        else:
            self.failures[worker.shard] = reason

    def _begin_next(self, worker: _Worker, is_alive: bool) -> None:
        """Sends the next shard to a process; a killed process is replaced by a new one.

        Args:
            worker: process without a shard.
            is_alive: False if the process was killed.
        """
        may_begin = self._waiting and len(self.failures) < MAX_FAILURES
        shard = self._waiting.popleft() if may_begin else None
        if not is_alive or shard is None:
            del self._working[worker.connection]
        if is_alive:
            worker.begin(shard)
        elif shard is not None:
            self._start(worker.index, shard)


def _start(index: int, folder: BulkFolder, resources: Resources, shard: int) -> _Worker:
    parent_end, worker_end = multiprocessing.Pipe()
    cores = _cores_of(index, resources)
    device = resources.devices[index % len(resources.devices)]
    process = multiprocessing.get_context("spawn").Process(
        target=_run_worker, args=(worker_end, folder, shard, device, resources.threads, cores), daemon=True
    )
    process.start()
    worker_end.close()
    return _Worker(index, process, parent_end, shard)


def _cores_of(index: int, resources: Resources) -> List[int]:
    """Returns the cores of a process; an empty list, without pinning, if there are too few for all processes.

    Args:
        index: index of the process.
        resources: number of processes and their threads.
    """
    if not hasattr(os, "sched_getaffinity") or resources.workers * resources.threads > available_cores():
        return []
    cores = sorted(os.sched_getaffinity(0))
    return cores[index * resources.threads : (index + 1) * resources.threads]


# -- in the process


def _run_worker(
    connection: Connection, folder: BulkFolder, shard: int, device: str, threads: int, cores: List[int]
) -> None:
    """Main function of a worker process: translates shards until the parent sends None.

    Args:
        connection: pipe to the parent.
        folder: folder of the shards.
        shard: number of the first shard.
        device: torch device.
        threads: number of torch threads.
        cores: cores to run on; empty for all.
    """
    end_with_parent()
    if cores:
        os.sched_setaffinity(0, cores)
    try:
        translator = ShardTranslator(folder, read_manifest(folder), device, threads)
    except UserError as error:
        connection.send((REFUSED, error.on_command_line))
        return
    number: Optional[int] = shard
    while number is not None:
        report = _Report(connection)
        try:
            translator.translate(number, report)
            connection.send((DONE, None))
        except (OSError, RuntimeError, ValueError) as error:  # UserError, and errors of disks, torch and pyarrow
            connection.send((FAILED, str(error)))
        number = connection.recv()


class _Report:
    """Sends the number of translated lines at most every SECONDS_BETWEEN_REPORTS."""

    def __init__(self, connection: Connection):
        self._connection = connection
        self._lines = 0
        self._sent = time.monotonic()

    def __call__(self, lines: int) -> None:
        self._lines += lines
        if time.monotonic() - self._sent > SECONDS_BETWEEN_REPORTS:
            self._connection.send((LINES, self._lines))
            self._lines, self._sent = 0, time.monotonic()
