"""Beam search as the batch of a search queue."""

from typing import List, Sequence

import torch

from gnmt.search.running_search import RunningSearch, Translated
from gnmt.search.search_queue import QueuedSentence, padded


class BeamSearchBatch:
    """Sentences of a running beam search; a step extends every running hypothesis by one token.

    Args:
        search: the running search.
        device: device of the model.
    """

    def __init__(self, search: RunningSearch, device: torch.device):
        self._search, self._device = search, device

    def __len__(self) -> int:
        return len(self._search)

    def join(self, sentences: Sequence[QueuedSentence]) -> None:
        pad = self._search.rules.special.pad
        ids = torch.tensor([one.id for one in sentences], device=self._device)
        sources = padded([one.source for one in sentences], pad, self._device)
        prefixes = padded([one.prefix for one in sentences], pad, self._device)
        self._search.join(ids, sources, prefixes)

    def remove(self, ids: Sequence[int]) -> None:
        self._search.remove(ids)

    def step(self) -> List[Translated]:
        self._search.step()
        return self._search.take_translated()
