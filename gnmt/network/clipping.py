"""Quantisable training: numbers that 8- and 16-bit integers are to hold are kept in a known range (Wu et al. 2016, section 6).

    c_t = max(-d, min(d, c'_t)),   x_t = max(-d, min(d, m_t + x_below)),   logits within +-25

for cell states c, layer outputs x and the embeddings below them. d falls from a wide range to a narrow one in training.
"""
from typing import NamedTuple, Optional

import torch
from torch import Tensor, nn

LOGIT_LIMIT = 25.0


class ClipSchedule(NamedTuple):
    """d falls linearly from `start` to `end` between the updates `first` and `last`."""

    start: float
    end: float
    first: int
    last: int

    def limit(self, update: int) -> float:
        if update >= self.last:
            return self.end
        if update <= self.first:
            return self.start
        return self.start + (self.end - self.start) * (update - self.first) / (self.last - self.first)


class ActivationClip(nn.Module):
    """Holds d, which is saved with the model. Without a schedule nothing is clipped, and nothing saved."""

    def __init__(self, schedule: Optional[ClipSchedule] = None):
        super().__init__()
        self.schedule = schedule
        self.register_buffer("range", None if schedule is None else torch.tensor([schedule.start]))

    @property
    def limit(self) -> Optional[float]:
        return None if self.range is None else float(self.range)

    def forward(self, inputs: Tensor) -> Tensor:
        limit = self.limit
        return inputs if limit is None else inputs.clamp(-limit, limit)

    @property
    def logit_limit(self) -> Optional[float]:
        return None if self.range is None else LOGIT_LIMIT

    def clip_logits(self, logits: Tensor) -> Tensor:
        return logits if self.range is None else logits.clamp(-LOGIT_LIMIT, LOGIT_LIMIT)

    def set_num_updates(self, update: int) -> None:
        """fairseq calls this before every update of a training, with the number of those done."""
        if self.schedule is not None:
            self.range.fill_(self.schedule.limit(update + 1))
