"""Work on a stream of items with all cores and little memory."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Callable, Deque, Iterable, Iterator, TypeVar

from gnmt.errors import UserError
from gnmt.files.outputs import uninterrupted
from gnmt.ranges import Range

Item = TypeVar("Item")
Result = TypeVar("Result")

JOBS = Range(1, 1024, hint="leave it out to use all cores")
WAITING_PER_JOB = 4  # keeps every worker busy while the results of a slow one are awaited


def available_cores() -> int:
    """Cores that this process may use, which can be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_jobs(jobs: int) -> None:
    """Raises UserError for a number of processes that cannot be started."""
    JOBS.check("jobs", jobs)


def _leave_with_parent() -> None:
    """In a worker: Ctrl-C is for the parent to answer, and a parent that was killed leaves no orphans."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    parent = multiprocessing.parent_process()
    assert parent is not None, "this is a worker"

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def ordered_map(function: Callable[[Item], Result], items: Iterable[Item], jobs: int) -> Iterator[Result]:
    """Yield function(item) in the order of the items, computed by `jobs` processes.

    Unlike `multiprocessing.Pool.imap` it draws only a few items ahead, so a corpus is never in memory
    as a whole, and it notices a worker that was killed instead of waiting for it for ever.
    """
    if jobs == 1:
        yield from map(function, items)
        return
    pool = ProcessPoolExecutor(jobs, initializer=_leave_with_parent)
    waiting: Deque[Future[Result]] = deque()
    try:
        for item in items:
            with uninterrupted():  # Python drops an exception that a signal raises while a process is forked
                waiting.append(pool.submit(function, item))
            if len(waiting) >= WAITING_PER_JOB * jobs:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise UserError("A worker process was killed, perhaps for want of memory: use fewer --jobs.") from error
    finally:
        pool.shutdown(cancel_futures=True)
