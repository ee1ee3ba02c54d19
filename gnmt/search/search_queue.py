"""Searches with a queue: sentences can be added at any time, and the batch is kept full."""

from collections import deque
from typing import Deque, List, NamedTuple, Protocol, Sequence

import torch
from torch import Tensor

from gnmt.search.running_search import RunningSearch, Translated

JOINING_SHARE = 1 / 4  # share of free slots at which waiting sentences join; they are encoded together


class QueuedSentence(NamedTuple):
    """Sentence that waits for a slot."""

    id: int  # returned with the translation
    source: Sequence[int]  # token ids, including EOS
    prefix: Sequence[int] = ()  # ids of the forced first target tokens


class Search(Protocol):
    """Interface of searches that sentences can join and leave."""

    def __len__(self) -> int:
        """Returns the number of waiting and running sentences."""

    @property
    def num_waiting(self) -> int:
        """Number of sentences that have not joined the batch."""

    def add(self, sentences: Sequence[QueuedSentence]) -> None:
        """Adds sentences to the end of the queue; their ids must differ from the ids in the search."""

    def remove(self, ids: Sequence[int]) -> None:
        """Cancels sentences, which are not returned; unknown ids are ignored."""

    def step(self) -> List[Translated]:
        """Runs one step, and returns the sentences that it completes."""


class SearchQueue:
    """Beam search with a queue: sentences join in the order in which they were added.

    Args:
        search: the running search.
        slots: maximum number of running sentences.
        device: device of the model.
        joining_share: share of the slots that must be free before newcomers join. With 1, a batch is closed until it is
            done.
    """

    def __init__(self, search: RunningSearch, slots: int, device: torch.device, joining_share: float = JOINING_SHARE):
        self._search = search
        self._slots = slots
        self._device = device
        self._joining_share = joining_share
        self._waiting: Deque[QueuedSentence] = deque()

    def __len__(self) -> int:
        return len(self._waiting) + len(self._search)

    @property
    def num_waiting(self) -> int:
        return len(self._waiting)

    def add(self, sentences: Sequence[QueuedSentence]) -> None:
        self._waiting.extend(sentences)

    def remove(self, ids: Sequence[int]) -> None:
        removed = set(ids)
        self._waiting = deque(one for one in self._waiting if one.id not in removed)
        self._search.remove(ids)

    def step(self) -> List[Translated]:
        """Adds waiting sentences if enough slots are free, and extends every running hypothesis by one token."""
        free = self._slots - len(self._search)
        if self._waiting and free >= self._joining_share * self._slots:
            self._join([self._waiting.popleft() for _ in range(min(free, len(self._waiting)))])
        if not len(self._search):
            return []
        self._search.step()
        return self._search.take_translated()

    def _join(self, joining: Sequence[QueuedSentence]) -> None:
        pad = self._search.beam_search.special.pad
        ids = torch.tensor([one.id for one in joining], device=self._device)
        sources, prefixes = (
            padded([one.source for one in joining], pad, self._device),
            padded([one.prefix for one in joining], pad, self._device),
        )
        self._search.join(ids, sources, prefixes)


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
