"""Quantisable training: activations are clipped to the range of 8- and 16-bit integers (Wu et al. 2016, section 6).

    c_t = max(-d, min(d, c'_t)),   x_t = max(-d, min(d, m_t + x_below)),   logits within +-25

for cell states c, layer outputs x and the embeddings. The limit d decreases during training.
"""

import struct
from typing import NamedTuple, Optional, Protocol

import torch
from torch import Tensor, nn

LOGIT_LIMIT = 25.0


class ClipSchedule(NamedTuple):
    """Limit d of clipping, which decreases linearly from `start` to `end` between the updates `first` and `last`."""

    start: float
    end: float
    first: int
    last: int

    def limit(self, update: int) -> float:
        """Returns d at an update."""
        if update >= self.last:
            return self.end
        if update <= self.first:
            return self.start
        return self.start + (self.end - self.start) * (update - self.first) / (self.last - self.first)


class Clip(Protocol):
    """Limits or rounds activations: ActivationClip, or Int16FakeQuantizer in int8 inference."""

    def __call__(self, inputs: Tensor) -> Tensor:
        """Returns the clipped or rounded inputs: cell states, layer outputs or embeddings."""

    def clip_logits(self, logits: Tensor) -> Tensor:
        """Returns the logits clipped to their limit."""


class ActivationClip(nn.Module):
    """Clips activations to -d..d; d is saved with the model. Without a schedule nothing is clipped or saved.

    `limit` is d as a Python number, because half precision would round a buffer, and reading a buffer from a GPU would
    block the CPU. The buffer `range` exists only so that checkpoints have this key.
    """

    def __init__(self, schedule: Optional[ClipSchedule] = None):
        super().__init__()
        self.schedule = schedule
        self.limit = None if schedule is None else in_float32(schedule.start)
        self.register_buffer("range", None if schedule is None else torch.tensor([schedule.start]))

    def forward(self, inputs: Tensor) -> Tensor:
        """Returns the inputs clipped to -d..d."""
        return inputs if self.limit is None else inputs.clamp(-self.limit, self.limit)

    @property
    def logit_limit(self) -> Optional[float]:
        """Limit of the logits' absolute values; None without a schedule."""
        return None if self.limit is None else LOGIT_LIMIT

    def clip_logits(self, logits: Tensor) -> Tensor:
        """Returns the logits clipped to their limit."""
        return logits if self.limit is None else logits.clamp(-LOGIT_LIMIT, LOGIT_LIMIT)

    def set_num_updates(self, update: int) -> None:
        """Sets d for the next update. fairseq calls this before every update, with the number of updates done."""
        if self.schedule is not None:
            self.limit = in_float32(self.schedule.limit(update + 1))
            self.range.fill_(self.limit)

    def _save_to_state_dict(self, destination, prefix, keep_vars):
        super()._save_to_state_dict(destination, prefix, keep_vars)
        if self.schedule is not None:
            destination[prefix + "range"] = torch.tensor([self.limit])

    def _load_from_state_dict(self, state_dict, prefix, *args):
        super()._load_from_state_dict(state_dict, prefix, *args)
        if self.schedule is not None and prefix + "range" in state_dict:
            self.limit = float(state_dict[prefix + "range"])


def in_float32(limit: float) -> float:
    """Returns the nearest float32 number, which checkpoints store exactly."""
    return struct.unpack("f", struct.pack("f", limit))[0]
