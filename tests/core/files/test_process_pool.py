"""Tests the ordered map over several processes: order of results, read-ahead, and reaction to dead workers.

Expected results are written by hand.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Iterator, List

import pytest

from gnmt.errors import UserError
from gnmt.files.process_pool import WAITING_PER_JOB, check_jobs, ordered_map


ROOT = Path(__file__).parents[3]


def die(item: int) -> int:
    os._exit(1)


@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_results_come_in_the_order_of_the_items(jobs: int) -> None:
    assert list(ordered_map(abs, range(-50, 0), jobs)) == list(range(50, 0, -1))


@pytest.mark.parametrize("jobs", [1, 2])
def test_items_are_drawn_only_a_few_ahead(jobs: int) -> None:
    drawn: List[int] = []

    def items() -> Iterator[int]:
        for item in range(10_000):
            drawn.append(item)
            yield item

    results = ordered_map(abs, items(), jobs)
    for _ in range(3):
        next(results)
    assert len(drawn) <= 3 + WAITING_PER_JOB * jobs
    results.close()


def test_killed_worker_is_reported() -> None:
    with pytest.raises(UserError, match="worker process was killed"):
        list(ordered_map(die, range(20), 2))


# too few file descriptors for the queues of the pool; too few for its workers
@pytest.mark.parametrize("descriptors", [8, 24])
def test_workers_that_cannot_start_are_reported_and_ended(descriptors: int) -> None:
    code = (
        "import resource\n"
        "from gnmt.commands.process import run_command\n"
        "from gnmt.files.process_pool import ordered_map\n"
        f"resource.setrlimit(resource.RLIMIT_NOFILE, ({descriptors}, {descriptors}))\n"
        "run_command(lambda: list(ordered_map(abs, range(100), 64)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith(
        "error: 64 worker processes cannot be started (Too many open files): use fewer --jobs"
    )


def test_jobs_must_be_positive() -> None:
    check_jobs(1)
    with pytest.raises(UserError, match="--jobs is 0"):
        check_jobs(0)
    with pytest.raises(UserError, match="--jobs is 99999999999999999999, but must be at most"):
        check_jobs(99999999999999999999)
