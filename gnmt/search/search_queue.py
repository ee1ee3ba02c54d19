"""Search that sentences can join at any time: a queue in front of a batch.

Waiting sentences fill the batch as soon as a share of its slots is free. A small share gives continuous batching: the
batch stays nearly full. A share of 1 gives closed batches: all sentences leave before others join.
"""

from collections import deque
from typing import Deque, List, NamedTuple, Protocol, Sequence

import torch
from torch import Tensor

from gnmt.search.results import SearchResult

JOINING_SHARE = 1 / 2  # share of free slots at which waiting sentences join; they are encoded together


class QueuedSentence(NamedTuple):
    """Sentence that waits for a slot."""

    id: int  # returned with the hypotheses
    source: Sequence[int]  # token ids, including EOS
    prefix: Sequence[int] = ()  # ids of the forced first target tokens


class Batch(Protocol):
    """Sentences that are translated together: `BeamSearch` or `SamplingBatch`."""

    def __len__(self) -> int:
        """Returns the number of sentences in the batch."""

    def join(self, sentences: Sequence[QueuedSentence]) -> None:
        """Adds sentences; there is at least one."""

    def remove(self, ids: Sequence[int]) -> None:
        """Cancels sentences, which are not returned; unknown ids are ignored."""

    def step(self) -> List[SearchResult]:
        """Runs one step of a batch that is not empty, and returns the sentences that leave."""


class SearchQueue:
    """Queue and batch; sentences join in the order in which they were added.

    Args:
        batch: the running sentences.
        slots: maximum number of running sentences.
        joining_share: share of the slots that must be free before new sentences join. With 0, they join as soon as
            a slot is free; with 1, a batch is closed until all of its sentences have left.
    """

    def __init__(self, batch: Batch, slots: int, joining_share: float = JOINING_SHARE):
        self._batch = batch
        self._slots = slots
        self._joining_share = joining_share
        self._waiting: Deque[QueuedSentence] = deque()

    def __len__(self) -> int:
        """Returns the number of waiting and running sentences."""
        return len(self._waiting) + len(self._batch)

    @property
    def num_waiting(self) -> int:
        """Number of sentences that have not joined the batch."""
        return len(self._waiting)

    def add(self, sentences: Sequence[QueuedSentence]) -> None:
        """Adds sentences to the end of the queue; their ids must differ from the ids in the search."""
        self._waiting.extend(sentences)

    def remove(self, ids: Sequence[int]) -> None:
        """Cancels sentences, which are not returned; unknown ids are ignored."""
        removed = set(ids)
        self._waiting = deque(sentence for sentence in self._waiting if sentence.id not in removed)
        self._batch.remove(ids)

    def step(self) -> List[SearchResult]:
        """Adds waiting sentences if enough slots are free, runs one step, and returns the sentences that leave."""
        free = self._slots - len(self._batch)
        if self._waiting and free > 0 and free >= self._joining_share * self._slots:
            joining = [self._waiting.popleft() for _ in range(min(free, len(self._waiting)))]
            self._batch.join(sorted(joining, key=lambda sentence: -len(sentence.source)))  # similar lengths adjacent
        return self._batch.step() if len(self._batch) else []


def padded(rows: Sequence[Sequence[int]], pad: int, device: torch.device) -> Tensor:
    """Returns rows of ids as one tensor (B, longest), padded on the right.

    Args:
        rows: token ids of each row.
        pad: id of PAD.
        device: device of the result.
    """
    width = max(map(len, rows))
    filled = [[*row, *[pad] * (width - len(row))] for row in rows]
    return torch.tensor(filled, dtype=torch.long, device=device).view(len(rows), width)
