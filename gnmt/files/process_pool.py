"""Parallel processing of a stream of items with little memory."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Callable, Deque, Iterable, Iterator, TypeVar

from gnmt.errors import UserError
from gnmt.files.outputs import uninterrupted
from gnmt.ranges import Range

Item = TypeVar("Item")
Result = TypeVar("Result")

JOBS = Range(1, 1024, hint="leave it out to use all cores")
WAITING_PER_JOB = 4  # keeps every worker busy while a slow worker delays the results


def check_jobs(jobs: int) -> None:
    """Checks the number of processes.

    Raises:
        UserError: if it is out of range.
    """
    JOBS.check("jobs", jobs)


def end_with_parent() -> None:
    """Makes this worker process ignore Ctrl-C, which its parent handles, and end when its parent ends or is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    parent = multiprocessing.parent_process()
    assert parent is not None, "this is a worker"

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _starting(jobs: int) -> Iterator[None]:
    """Converts a system error during the start of workers to a UserError, and kills the workers that were started.

    ProcessPoolExecutor would leave them waiting for work, and Python would wait for them at exit.
    """
    others = multiprocessing.active_children()
    try:
        yield
    except OSError as error:
        for worker in multiprocessing.active_children():
            if worker not in others:
                worker.kill()
        raise UserError(
            f"{jobs} worker processes cannot be started ({error.strerror}): use fewer --jobs, or raise the limits of "
            "`ulimit -n` and `ulimit -u`."
        ) from error


def ordered_map(function: Callable[[Item], Result], items: Iterable[Item], jobs: int) -> Iterator[Result]:
    """Yields function(item) in the order of the items, computed by `jobs` processes.

    Unlike `multiprocessing.Pool.imap` it reads only a few items ahead, so a corpus is never in memory as a whole. It
    also detects a killed worker instead of waiting forever.

    Args:
        function: function of an item; must be picklable.
        items: any iterable.
        jobs: number of processes.

    Raises:
        UserError: if a worker was killed, or the workers cannot be started.
    """
    if jobs == 1:
        yield from map(function, items)
        return
    with _starting(jobs):
        pool = ProcessPoolExecutor(jobs, initializer=end_with_parent)
    waiting: Deque[Future[Result]] = deque()
    try:
        for item in items:
            with uninterrupted(), _starting(jobs):  # Python ignores an exception that a signal raises during a fork
                waiting.append(pool.submit(function, item))
            if len(waiting) >= WAITING_PER_JOB * jobs:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise UserError("A worker process was killed, perhaps for lack of memory: use fewer --jobs.") from error
    finally:
        pool.shutdown(cancel_futures=True)
