"""Tests the job queue of the server: order, limit, cancellation and closing, with simulated jobs.

Expected orders are worked out by hand.
"""

from types import SimpleNamespace
from typing import List

import pytest

from gnmt.serving.job_queue import SHORT, Job, JobQueue
from gnmt.serving.metrics import Metrics
from gnmt.serving.refusals import Refusal, unavailable
from gnmt.translation.options import TranslationOptions


def jobs(*tokens: int) -> List[Job]:
    """Returns one job for each given number of source tokens."""
    sentences = [SimpleNamespace(ids=list(range(count))) for count in tokens]
    return [Job(None, TranslationOptions(), sentence, lambda outcome: None) for sentence in sentences]


def queue_of(*requests: List[Job], limit: int = 1000) -> JobQueue:
    queue = JobQueue(limit, Metrics())
    for request in requests:
        queue.submit(request)
    return queue


def test_requests_take_turns():
    """One document of three sentences, then two requests of one sentence each."""
    (one, two, three), (first,), (second,) = requests = jobs(5, 5, 5), jobs(5), jobs(5)
    queue = queue_of(*requests)
    assert queue.take(4, 8) == [one, first, second, two] and len(queue) == 1
    assert queue.take(4, 8) == [three] and queue.take(4, 8) == []


def test_long_sentences_take_more_slots():
    assert [job.slots for job in jobs(1, SHORT, SHORT + 1, 2 * SHORT, 2 * SHORT + 1, 4 * SHORT)] == [1, 1, 2, 2, 4, 4]


def test_a_long_sentence_is_not_overtaken():
    """It needs 2 of 4 slots; while only one slot is free, the short sentence behind it waits."""
    (long,), (short,) = requests = jobs(SHORT + 1), jobs(1)
    queue = queue_of(*requests)
    assert queue.take(1, 4) == []
    assert queue.take(3, 4) == [long, short]


def test_a_sentence_beyond_all_slots_is_taken_when_all_are_free():
    (huge,) = jobs(8 * SHORT)
    queue = queue_of([huge])
    assert queue.take(3, 4) == []
    assert queue.take(4, 4) == [huge]


def test_the_limit_counts_waiting_tokens():
    queue = queue_of(jobs(60, 30), limit=100)
    with pytest.raises(Refusal, match="has 11 tokens, and 90 of at most 100 tokens wait") as refused:
        queue.submit(jobs(11))
    assert (refused.value.status, refused.value.code) == (503, "queue")
    queue.submit(jobs(10))
    queue.take(1, 8)  # 60 tokens
    queue.submit(jobs(60))


def test_an_empty_queue_takes_a_request_beyond_the_limit():
    queue = queue_of(jobs(101), limit=100)
    with pytest.raises(Refusal):
        queue.submit(jobs(1))
    queue.take(8, 8)
    queue.submit(jobs(101))


def test_cancelled_jobs_leave_the_queue():
    one, two, running = jobs(50, 40, 10)
    queue = queue_of([one, two], limit=100)
    queue.cancel([one, running])
    assert queue.take_cancelled() == {one, running} and queue.take_cancelled() == set()
    queue.submit(jobs(60))  # 40 tokens wait
    assert queue.take(1, 8) == [two]


def test_a_closed_queue_refuses():
    queue = queue_of(jobs(5))
    queue.close(unavailable("failed", "first", 60))
    queue.close(unavailable("stopping", "second", 5))
    for _ in range(2):
        with pytest.raises(Refusal, match="first"):
            queue.submit(jobs(1))
    assert len(queue.take_all()) == 1 and len(queue) == 0


def test_waiting_ends_with_a_job():
    queue = queue_of(jobs(5))
    queue.wait_for_change(600)
    queue.take_all()
    queue.cancel(jobs(1))
    queue.wait_for_change(600)
    queue.take_cancelled()
    queue.close(unavailable("stopping", "", 5))
    queue.wait_for_change(600)
