"""Queue of the sentences that wait for the engine; all methods can be called from any thread."""

import dataclasses
import threading
from collections import deque
from typing import Callable, Deque, List, NamedTuple, Optional, Sequence, Set, Union

from gnmt.serving.metrics import Metrics
from gnmt.serving.refusals import Refusal, unavailable
from gnmt.translation.options import TranslationOptions
from gnmt.translation.results import SentenceTranslation
from gnmt.translation.sentence_codec import EncodedSentence
from gnmt.translator import Translator

SHORT = 64  # tokens; longer sentences run in separate searches, so that short sentences are not padded to their length

Outcome = Union[SentenceTranslation, Exception]


class SearchKey(NamedTuple):
    """Properties shared by the sentences of one search: model, options and range of lengths."""

    translator: Translator
    options: TranslationOptions
    length_class: int  # sources have at most SHORT x 2^class tokens


@dataclasses.dataclass(eq=False)
class Job:
    """One sentence to translate.

    Args:
        translator: translator of the language pair.
        options: search options and `replace_unk`.
        sentence: encoded by the translator's codec.
        deliver: called at most once, by the engine's thread, with the translation or an error. A job that is cancelled
            at the end of its translation may still be delivered.
    """

    translator: Translator
    options: TranslationOptions
    sentence: EncodedSentence
    deliver: Callable[[Outcome], None]

    @property
    def search_key(self) -> SearchKey:
        """Search to which the sentence belongs."""
        options = dataclasses.replace(self.options, replace_unk=False, split_sentences=False)
        return SearchKey(self.translator, options, self._length_class)

    @property
    def slots(self) -> int:
        """Work of the sentence, in slots. A short sentence takes one slot."""
        return 1 << self._length_class

    @property
    def num_tokens(self) -> int:
        """Number of source tokens."""
        return len(self.sentence.ids)

    @property
    def _length_class(self) -> int:
        return ((self.num_tokens - 1) // SHORT).bit_length()


class JobQueue:
    """Waiting jobs. Requests take turns, one job each, so that a long document does not delay a single sentence.

    Args:
        limit: maximum number of waiting source tokens; a request that finds an empty queue may exceed it.
        metrics: updated by the queue.
    """

    def __init__(self, limit: int, metrics: Metrics):
        self._limit = limit
        self._metrics = metrics
        self._changed = threading.Condition()
        self._requests: Deque[Deque[Job]] = deque()  # waiting jobs of each request
        self._num_tokens = 0  # of all waiting jobs
        self._cancelled: Set[Job] = set()  # since the last call of take_cancelled
        self._closed: Optional[Refusal] = None

    def __len__(self) -> int:
        """Returns the number of waiting jobs."""
        with self._changed:
            return sum(map(len, self._requests))

    def submit(self, jobs: Sequence[Job]) -> None:
        """Adds the jobs of a request.

        Raises:
            Refusal: if the queue is full or closed.
        """
        tokens = sum(job.num_tokens for job in jobs)
        with self._changed:
            if self._closed is not None:
                raise self._closed.with_traceback(None)  # one object for all requests
            if self._num_tokens and self._num_tokens + tokens > self._limit:
                raise unavailable(
                    "queue",
                    f"The request has {tokens} tokens, and {self._num_tokens} of at most {self._limit} tokens wait for "
                    "translation: try again later.",
                    2,
                )
            self._requests.append(deque(jobs))
            self._count(tokens)
            self._changed.notify()

    def cancel(self, jobs: Sequence[Job]) -> None:
        """Cancels waiting and running jobs; finished jobs are ignored."""
        with self._changed:
            self._cancelled.update(jobs)
            self._changed.notify()

    def close(self, refusal: Refusal) -> None:
        """Refuses further jobs with `refusal`; the first call counts."""
        with self._changed:
            self._closed = self._closed or refusal
            self._changed.notify()

    @property
    def closed(self) -> Optional[Refusal]:
        """The refusal of further jobs, or None if the queue is open."""
        return self._closed

    def wait_for_change(self, seconds: float) -> None:
        """Returns if there are jobs or cancellations, or if the queue is closed; at the latest after `seconds`."""
        with self._changed:
            if not (self._closed or self._requests or self._cancelled):
                self._changed.wait(seconds)

    def take(self, free: int, slots: int) -> List[Job]:
        """Removes and returns the jobs that fit in the free slots, one job of each request in turn.

        A job that does not fit blocks the jobs behind it; otherwise it might never be taken.

        Args:
            free: number of free slots.
            slots: number of all slots; a job that needs more is taken when all are free.
        """
        taken: List[Job] = []
        with self._changed:
            while self._requests and (needed := min(self._requests[0][0].slots, slots)) <= free:
                request = self._requests.popleft()
                taken.append(request.popleft())
                if request:
                    self._requests.append(request)
                free -= needed
            self._count(-sum(job.num_tokens for job in taken))
        return taken

    def take_cancelled(self) -> Set[Job]:
        """Removes cancelled jobs from the queue, and returns all jobs cancelled since the last call."""
        with self._changed:
            cancelled, self._cancelled = self._cancelled, set()
            if cancelled:
                remaining_requests = [
                    deque(job for job in request if job not in cancelled) for request in self._requests
                ]
                dropped = sum(map(len, self._requests)) - sum(map(len, remaining_requests))
                self._requests = deque(request for request in remaining_requests if request)
                waiting = sum(job.num_tokens for request in remaining_requests for job in request)
                self._count(waiting - self._num_tokens)
                self._metrics.cancelled.inc(dropped)
        return cancelled

    def take_all(self) -> List[Job]:
        """Removes and returns all waiting jobs."""
        with self._changed:
            jobs = [job for request in self._requests for job in request]
            self._requests.clear()
            self._count(-self._num_tokens)
        return jobs

    def _count(self, tokens: int) -> None:
        self._num_tokens += tokens
        self._metrics.queue_tokens.set(self._num_tokens)
