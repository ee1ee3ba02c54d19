"""The engine: one thread that runs the models and translates the sentences of all requests.

Sentences with the same model and search options share a running search, which they join and leave at every step. Other
options run in separate searches, and searches take turns, one step each. Requests get free slots in turn, so that a long
document does not delay a single sentence. No translation depends on the others.
"""

import dataclasses
import logging
import threading
import time
from collections import deque
from typing import Callable, Deque, Dict, List, NamedTuple, Optional, Sequence, Set, Tuple, Union

from gnmt.search.running_search import Hypothesis
from gnmt.search.search_queue import QueuedSentence, Search
from gnmt.serving.memory import MemoryTrimmer, find_trim
from gnmt.serving.metrics import Metrics
from gnmt.serving.refusals import Refusal, unavailable
from gnmt.translation.options import TranslationOptions
from gnmt.translation.results import SentenceTranslation
from gnmt.translation.sentence_codec import EncodedSentence
from gnmt.translator import Translator

SHORT = 64  # tokens; longer sentences run in separate searches, so that they do not lengthen the batch of short ones
JOINING_SHARE = 1 / 4  # new sentences are encoded together if they are at least this share of the running sentences,
PATIENCE = 8  # or if they have waited for this number of steps
HEARTBEAT = 1.0  # seconds between two heartbeats of an idle engine
LATE = 10.0  # seconds without a heartbeat after which the engine is not ready
WARM_UP = "A dog runs."

logger = logging.getLogger(__name__)

Outcome = Union[SentenceTranslation, Exception]


@dataclasses.dataclass(eq=False)
class Job:
    """One sentence to translate.

    Args:
        translator: translator of the language pair.
        options: search options and `replace_unk`.
        sentence: encoded by the translator's codec.
        deliver: called once by the engine's thread with the translation or an error; not called after a cancellation.
    """

    translator: Translator
    options: TranslationOptions
    sentence: EncodedSentence
    deliver: Callable[[Outcome], None]

    @property
    def lane(self) -> "Lane":
        """Search to which the sentence belongs."""
        options = dataclasses.replace(self.options, replace_unk=False, split_sentences=False)
        return Lane(self.translator, options, self._length_class)

    @property
    def slots(self) -> int:
        """Number of slots: the number of short sentences that need the same work."""
        return 1 << self._length_class

    @property
    def _length_class(self) -> int:
        return ((len(self.sentence.ids) - 1) // SHORT).bit_length()


class Lane(NamedTuple):
    """Properties shared by the sentences of one search: model, options and range of lengths."""

    translator: Translator
    options: TranslationOptions
    length_class: int  # sources have at most SHORT x 2^class tokens


class Engine:
    """Translates jobs in its own thread.

    Args:
        translators: translators of all language pairs.
        slots: maximum number of running sentences over all searches.
        queue_limit: maximum number of waiting source tokens; a single waiting request may exceed it.
        metrics: updated by the engine.
    """

    def __init__(self, translators: Sequence[Translator], slots: int, queue_limit: int, metrics: Metrics):
        self._translators = translators
        self._slots = slots
        self._queue_limit = queue_limit
        self._metrics = metrics
        self._changed = threading.Condition()
        # Guarded by `_changed`:
        self._requests: Deque[Deque[Job]] = deque()  # waiting jobs of each request
        self._waiting_tokens = 0
        self._cancelled: Set[Job] = set()
        self._is_stopping = False
        # Used by the engine's thread only:
        self._searches: Dict[Lane, Search] = {}
        self._jobs: Dict[int, Tuple[Lane, Job]] = {}  # running jobs by id
        self._next_id = 0
        self._steps_waited = 0  # since new sentences could have joined
        self._memory = MemoryTrimmer(find_trim())
        # Written by the engine's thread, read by others:
        self._is_warm = threading.Event()
        self._error: Optional[Exception] = None  # the error that ended the thread
        self._last_sign_of_life = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    def start(self) -> None:
        """Starts the thread, which first translates one sentence with each model."""
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Stops the thread and fails the remaining jobs; waits at most `seconds` for the thread."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(seconds)

    def wait_until_warm(self) -> None:
        """Waits until each model has translated a sentence. Raises the error of a model that cannot translate."""
        while not self._is_warm.wait(0.05):
            if not self._thread.is_alive():
                raise self._error or RuntimeError("the engine has ended before it was warm")

    @property
    def is_ready(self) -> bool:
        """Returns True if each model has translated a sentence, and the thread is running and making progress."""
        is_moving = time.monotonic() - self._last_sign_of_life < LATE
        return self._is_warm.is_set() and self._thread.is_alive() and is_moving

    def submit(self, jobs: Sequence[Job]) -> None:
        """Adds the jobs of a request.

        Raises:
            Refusal: the queue is full, or the engine is stopping.
        """
        tokens = sum(len(job.sentence.ids) for job in jobs)
        with self._changed:
            if self._is_stopping:
                raise unavailable("stopping", "The server is stopping: try another one, or later.", 5)
            if self._waiting_tokens and self._waiting_tokens + tokens > self._queue_limit:
                raise unavailable(
                    "queue", f"More than {self._queue_limit} tokens wait for translation: try again later.", 2
                )
            self._waiting_tokens += tokens
            self._requests.append(deque(jobs))
            self._changed.notify()
            self._metrics.queue_tokens.set(self._waiting_tokens)

    def cancel(self, jobs: Sequence[Job]) -> None:
        """Cancels running and waiting jobs; finished jobs are ignored."""
        with self._changed:
            self._cancelled.update(jobs)
            self._changed.notify()

    # -- the engine's thread

    def _run(self) -> None:
        try:
            for translator in self._translators:
                translator.translate([WARM_UP])
            self._is_warm.set()
            while self._await_work():
                self._give_up_cancelled()
                self._let_join()
                for lane in list(self._searches):
                    self._step(lane)
                self._memory.trim_if_due()
        except Exception as error:
            self._error = error
            logger.exception("the engine has ended")
        finally:
            self._fail_all()

    def _await_work(self) -> bool:
        """Waits for work. Returns False if the engine must stop."""
        with self._changed:
            while not (self._is_stopping or self._requests or self._searches or self._cancelled):
                self._last_sign_of_life = time.monotonic()
                self._memory.trim_if_due()
                self._changed.wait(HEARTBEAT)
            self._last_sign_of_life = time.monotonic()
            return not self._is_stopping

    def _give_up_cancelled(self) -> None:
        with self._changed:
            if not self._cancelled:
                return
            cancelled, self._cancelled = self._cancelled, set()
            self._waiting_tokens = 0
            kept: Deque[Deque[Job]] = deque()
            count = 0
            for request in self._requests:
                left = deque(job for job in request if job not in cancelled)
                count += len(request) - len(left)
                self._waiting_tokens += sum(len(job.sentence.ids) for job in left)
                if left:
                    kept.append(left)
            self._requests = kept
        running = [number for number, (_, job) in self._jobs.items() if job in cancelled]
        for number in running:
            lane, _ = self._jobs.pop(number)
            self._searches[lane].remove([number])
        self._metrics.cancelled.inc(count + len(running))

    def _let_join(self) -> None:
        """Assigns free slots to waiting jobs, one job of each request in turn."""
        joining = self._take_joining()
        lanes: Dict[Lane, List[QueuedSentence]] = {}
        for job in joining:
            lane = job.lane
            self._jobs[self._next_id] = lane, job
            lanes.setdefault(lane, []).append(QueuedSentence(self._next_id, job.sentence.ids, job.sentence.prefix))
            self._next_id += 1
        for lane, sentences in lanes.items():
            if lane not in self._searches:
                self._searches[lane] = lane.translator.search(dataclasses.replace(lane.options, batch_size=self._slots))
            self._searches[lane].add(sentences)

    def _take_joining(self) -> List[Job]:
        joining: List[Job] = []
        free = self._slots - sum(job.slots for _, job in self._jobs.values())
        with self._changed:
            waiting = sum(map(len, self._requests))
            self._steps_waited += 1
            if waiting < JOINING_SHARE * len(self._jobs) and self._steps_waited <= PATIENCE:
                return []
            self._steps_waited = 0
            while self._requests:
                needed = min(self._requests[0][0].slots, self._slots)
                if needed > free:
                    break  # later jobs must not overtake it, or it might never join
                request = self._requests.popleft()
                joining.append(request.popleft())
                if request:
                    self._requests.append(request)
                free -= needed
            self._waiting_tokens -= sum(len(job.sentence.ids) for job in joining)
            self._metrics.queue_tokens.set(self._waiting_tokens)
        return joining

    def _step(self, lane: Lane) -> None:
        search = self._searches[lane]
        began = time.monotonic()
        self._metrics.batch_sentences.observe(len(search))
        try:
            translated = search.step()
        except Exception as error:  # ends only this search
            logger.exception("a search has failed")
            self._fail(lane, error)
            return
        self._last_sign_of_life = time.monotonic()
        self._metrics.step_seconds.observe(self._last_sign_of_life - began)
        if not len(search):
            del self._searches[lane]
        jobs = [(self._jobs.pop(number)[1], hypotheses) for number, hypotheses in translated]
        self._metrics.searches.set(len(self._searches))
        self._metrics.running.set(len(self._jobs))
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

    def _fail(self, lane: Lane, error: Exception) -> None:
        """Drops a search and fails its jobs."""
        self._searches.pop(lane, None)
        for number in [number for number, (own, _) in self._jobs.items() if own == lane]:
            self._jobs.pop(number)[1].deliver(error)

    def _fail_all(self) -> None:
        error = unavailable("stopping", "The server is stopping: try another one, or later.", 5)
        with self._changed:
            self._is_stopping = True
            waiting = [job for request in self._requests for job in request]
            self._requests.clear()
        for job in [*(job for _, job in self._jobs.values()), *waiting]:
            job.deliver(error)
        self._jobs.clear()


def failure(error: Exception) -> Refusal:
    """Returns the refusal for a request with a failed job."""
    if isinstance(error, Refusal):
        return error
    return Refusal(500, "failed", "The translation has failed: the server's log has the reason.")
