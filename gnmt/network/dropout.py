"""Dropout with fast random masks on a CPU."""

import math
from typing import Optional, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

RANDOM_LEVELS = 1 << 16  # a mask element is decided by 16 random bits


class Dropout(nn.Module):
    """Zeroes elements with probability p in training and scales the rest, as torch.nn.Dropout does.

    On a CPU torch draws one Bernoulli variable per element. This module derives four elements from one 64-bit random
    number and stores the mask as bytes. The probability is rounded to a multiple of 1/65536, also in the scale.
    """

    def __init__(self, p: float):
        super().__init__()
        self.p = p
        self.across_devices = False  # gnmt.network.placement sets it

    def forward(self, inputs: Tensor, keep: Optional[Tensor] = None) -> Tensor:
        """Applies dropout to the inputs.

        Args:
            inputs: any shape.
            keep: mask of the same shape, False where elements are zeroed; None draws a new mask.
        """
        if not self.training or self.p == 0:
            return inputs
        if inputs.is_cuda and keep is None:
            return F.dropout(inputs, self.p)
        if keep is None:
            keep = self._draw(inputs.shape, inputs.device)
        return _ScaledMask.apply(inputs, keep, RANDOM_LEVELS / (RANDOM_LEVELS - self._dropped_levels))

    def draw(self, shape: Sequence[int], device: torch.device) -> Optional[Tensor]:
        """Draws the mask of a whole sequence; the caller slices it and passes each part as `keep`.

        The mask then does not depend on the division into parts or on the order in which layers run. Returns None
        outside training, and on a single GPU, which draws masks while it applies them.

        Args:
            shape: shape of the inputs of the whole sequence.
            device: device of the inputs.
        """
        if not self.training or self.p == 0:
            return None
        if device.type == "cuda":
            return draw_by_seed(shape, device, self._dropped_levels / RANDOM_LEVELS) if self.across_devices else None
        return self._draw(shape, device)

    def _draw(self, shape: Sequence[int], device: torch.device) -> Tensor:
        return _random_levels(shape, device) >= self._dropped_levels - RANDOM_LEVELS // 2

    @property
    def _dropped_levels(self) -> int:
        return round(self.p * RANDOM_LEVELS)

    def extra_repr(self) -> str:
        """Returns the probability for the printed form of the module."""
        return f"p={self.p}"


def disable_dropout(model: nn.Module) -> None:
    """Disables dropout until the next `model.train()`.

    The LSTMs stay in training mode because cuDNN cannot back-propagate in evaluation mode.
    """
    for module in model.modules():
        if isinstance(module, Dropout):
            module.eval()


def _random_levels(shape: Sequence[int], device: torch.device) -> Tensor:
    """Returns uniform int16 numbers from -32768 to 32767.

    Args:
        shape: shape of the result.
        device: device of the result.
    """
    count = math.prod(shape)
    words = torch.empty((count + 3) // 4, dtype=torch.int64, device=device)
    words.random_(-(2**63), None)  # the default bounds would leave the top bit zero
    return words.view(torch.int16)[:count].view(shape)


def draw_by_seed(shape: Sequence[int], device: torch.device, p: float) -> Tensor:
    """Returns a mask that is False with probability p, from a generator that is seeded by the CPU's generator.

    torch.manual_seed gives all GPUs the same seed, so layers on different GPUs would otherwise draw equal masks.

    Args:
        shape: shape of the mask.
        device: device of the mask.
        p: dropout probability.
    """
    generator = torch.Generator(device).manual_seed(int(torch.randint(2**62, ())))
    return torch.empty(shape, dtype=torch.bool, device=device).bernoulli_(1 - p, generator=generator)


class _ScaledMask(torch.autograd.Function):
    @staticmethod
    def forward(ctx, inputs: Tensor, keep: Tensor, scale: float) -> Tensor:
        ctx.save_for_backward(keep)
        ctx.scale = scale
        return (inputs * keep).mul_(scale)

    @staticmethod
    def backward(ctx, gradient: Tensor):
        (keep,) = ctx.saved_tensors
        return (gradient * keep).mul_(ctx.scale), None, None
