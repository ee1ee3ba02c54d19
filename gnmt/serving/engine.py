"""The engine: one thread that runs the models and translates the sentences of all requests.

Sentences with the same model and search options share a running search, which they join and leave at every step. Other
options run in separate searches, and searches take turns, one step each. No translation depends on the others.
"""

import dataclasses
import logging
import threading
import time
from typing import Dict, List, Optional, Sequence, Tuple

import torch

from gnmt.search.results import Hypothesis
from gnmt.search.search_queue import QueuedSentence, SearchQueue
from gnmt.serving.job_queue import Job, JobQueue, Outcome, SearchKey
from gnmt.serving.memory import MemoryTrimmer, find_trim
from gnmt.serving.metrics import Metrics
from gnmt.serving.refusals import unavailable
from gnmt.translator import Translator

# Waiting sentences join together, because encoding a few at a time is slow. They join as soon as their number reaches
# MIN_JOINING_SHARE of the number of running sentences, and at the latest after MAX_WAIT_STEPS steps.
MIN_JOINING_SHARE = 1 / 2
MAX_WAIT_STEPS = 8
HEARTBEAT = 1.0  # seconds between two heartbeats of an idle engine
LATE = 10.0  # seconds without a heartbeat after which the engine is not ready
WARM_UP = "A dog runs."

STOPPING = unavailable("stopping", "The server is stopping: try another server, or try again later.", 5)
FAILED = unavailable("failed", "The translation engine has failed, and the server must be started again.", 60)

logger = logging.getLogger(__name__)


class Engine:
    """Translates jobs in its own thread.

    Args:
        translators: translators of all language pairs.
        slots: maximum number of running sentences over all searches; a long sentence takes several slots.
        queue_limit: maximum number of waiting source tokens; a request that finds an empty queue may exceed it.
        metrics: updated by the engine.
        threads: number of torch threads; None keeps torch's setting. No other thread should compute with several torch
            threads: OpenMP lets threads sleep between operations if the process has more of them than processors. Two
            threads then translate one sentence at a time more slowly than one thread does.
    """

    def __init__(
        self,
        translators: Sequence[Translator],
        slots: int,
        queue_limit: int,
        metrics: Metrics,
        threads: Optional[int] = None,
    ):
        self._translators = translators
        self._threads = threads
        self._slots = slots
        self._metrics = metrics
        self._queue = JobQueue(queue_limit, metrics)
        # Used by the engine's thread only:
        self._searches: Dict[SearchKey, SearchQueue] = {}
        self._jobs: Dict[int, Tuple[SearchKey, Job]] = {}  # running jobs by id
        self._next_id = 0
        self._steps_waited = 0  # since the queue was last polled
        self._memory = MemoryTrimmer(find_trim())
        # Written by the engine's thread, read by others:
        self._is_warm = threading.Event()
        self._error: Optional[Exception] = None  # the error that ended the thread
        self._last_heartbeat = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    def start(self) -> None:
        """Starts the thread, which first translates one sentence with each model."""
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Stops the thread and fails the remaining jobs; waits at most `seconds` for the thread."""
        self._queue.close(STOPPING)
        if self._thread.is_alive():
            self._thread.join(seconds)

    def wait_until_warm(self) -> None:
        """Waits until each model has translated a sentence. Raises the error of a model that cannot translate."""
        while not self._is_warm.wait(0.05):
            if not self._thread.is_alive():
                raise self._error or RuntimeError("the engine has ended before it was warm")

    @property
    def is_ready(self) -> bool:
        """True if each model has translated a sentence, and the thread is running and making progress."""
        has_recent_heartbeat = time.monotonic() - self._last_heartbeat < LATE
        return self._is_warm.is_set() and self._thread.is_alive() and has_recent_heartbeat

    def submit(self, jobs: Sequence[Job]) -> None:
        """Adds the jobs of a request.

        Raises:
            Refusal: if the queue is full, or the engine is stopping or has failed.
        """
        self._queue.submit(jobs)

    def cancel(self, jobs: Sequence[Job]) -> None:
        """Cancels running and waiting jobs; finished jobs are ignored."""
        self._queue.cancel(jobs)

    # -- the engine's thread

    def _run(self) -> None:
        try:
            if self._threads is not None:
                torch.set_num_threads(self._threads)
            for translator in self._translators:
                translator.translate([WARM_UP])
            self._is_warm.set()
            while self._queue.closed is None:
                self._last_heartbeat = time.monotonic()
                self._memory.trim_if_due()
                if not self._searches:
                    self._queue.wait_for_change(HEARTBEAT)
                self._remove_cancelled()
                self._join()
                for key in list(self._searches):
                    self._step(key)
        except Exception as error:
            self._error = error
            logger.exception("the engine has ended")
        finally:
            self._queue.close(FAILED)  # no effect after `stop`, which has closed the queue
            self._fail_all()

    def _remove_cancelled(self) -> None:
        cancelled = self._queue.take_cancelled()
        running = [number for number, (_, job) in self._jobs.items() if job in cancelled] if cancelled else []
        for number in running:
            key, _ = self._jobs.pop(number)
            self._searches[key].remove([number])
        self._metrics.cancelled.inc(len(running))

    def _join(self) -> None:
        """Adds waiting sentences to the searches."""
        joining: Dict[SearchKey, List[QueuedSentence]] = {}
        for job in self._take_joining():
            key = job.search_key
            self._jobs[self._next_id] = key, job
            joining.setdefault(key, []).append(QueuedSentence(self._next_id, job.sentence.ids, job.sentence.prefix))
            self._next_id += 1
        for key, sentences in joining.items():
            try:
                if key not in self._searches:
                    options = dataclasses.replace(key.options, batch_size=self._slots)
                    # A share of 0, because `_take_joining` decides when sentences join.
                    self._searches[key] = key.translator.search(options, joining_share=0)
                self._searches[key].add(sentences)
            except Exception as error:
                self._fail(key, error)

    def _take_joining(self) -> List[Job]:
        self._steps_waited += 1
        if len(self._queue) < MIN_JOINING_SHARE * len(self._jobs) and self._steps_waited <= MAX_WAIT_STEPS:
            return []
        self._steps_waited = 0
        return self._queue.take(self._slots - sum(job.slots for _, job in self._jobs.values()), self._slots)

    def _step(self, key: SearchKey) -> None:
        search = self._searches[key]
        start = time.monotonic()
        self._metrics.batch_sentences.observe(len(search))
        try:
            translated = search.step()
        except Exception as error:
            self._fail(key, error)
            return
        self._last_heartbeat = time.monotonic()
        self._metrics.step_seconds.observe(self._last_heartbeat - start)
        if not len(search):
            del self._searches[key]
        jobs = [(self._jobs.pop(number)[1], hypotheses) for number, hypotheses in translated]
        self._update_gauges()
        for job, hypotheses in jobs:
            job.deliver(self._decoded(job, hypotheses))

    def _decoded(self, job: Job, hypotheses: Sequence[Hypothesis]) -> Outcome:
        try:
            translation = job.translator.codec.decode(job.sentence, hypotheses, job.options.replace_unk)
        except Exception as error:
            logger.exception("a hypothesis cannot be decoded")
            return error
        self._metrics.sentences.inc()
        self._metrics.tokens.labels("source").inc(len(translation.source_tokens))
        self._metrics.tokens.labels("target").inc(len(translation.nbest[0].tokens))
        return translation

    def _fail(self, key: SearchKey, error: Exception) -> None:
        """Logs the error of a search, drops the search and fails its jobs; other searches continue.

        Args:
            key: key of the search.
            error: error that the jobs receive.
        """
        logger.error("a search has failed", exc_info=error)
        self._searches.pop(key, None)
        numbers = [number for number, (search_key, _) in self._jobs.items() if search_key == key]
        jobs = [self._jobs.pop(number)[1] for number in numbers]
        self._update_gauges()
        for job in jobs:
            job.deliver(error)

    def _fail_all(self) -> None:
        error = self._queue.closed or STOPPING
        jobs = [*(job for _, job in self._jobs.values()), *self._queue.take_all()]
        self._searches.clear()
        self._jobs.clear()
        self._update_gauges()
        for job in jobs:
            job.deliver(error)

    def _update_gauges(self) -> None:
        self._metrics.searches.set(len(self._searches))
        self._metrics.running.set(len(self._jobs))
