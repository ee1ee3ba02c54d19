"""Dropout whose masks are cheap to draw on a CPU."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

RANDOM_LEVELS = 1 << 16  # a mask element is decided by 16 random bits


class Dropout(nn.Module):
    """Zeroes elements with probability p in training and scales the rest, as torch.nn.Dropout does.

    On a CPU torch draws one Bernoulli variable at a time; here one 64-bit random number serves four elements,
    and the mask is kept as bytes. p is rounded to 1/65536 and the scale is that of the rounded p.
    """

    def __init__(self, p: float):
        super().__init__()
        self.p = p

    def forward(self, inputs: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return inputs
        if inputs.is_cuda:
            return F.dropout(inputs, self.p)
        dropped_levels = round(self.p * RANDOM_LEVELS)
        keep = _random_levels(inputs) >= dropped_levels - RANDOM_LEVELS // 2
        return _ScaledMask.apply(inputs, keep, RANDOM_LEVELS / (RANDOM_LEVELS - dropped_levels))

    def extra_repr(self) -> str:
        return f"p={self.p}"


def disable_dropout(model: nn.Module) -> None:
    """Disables dropout until the next `model.train()`.

    The LSTMs stay in training mode because cuDNN cannot back-propagate in evaluation mode.
    """
    for module in model.modules():
        if isinstance(module, Dropout):
            module.eval()


def _random_levels(like: Tensor) -> Tensor:
    """Returns uniform int16 of the shape of `like`, from -32768 to 32767."""
    words = torch.empty((like.numel() + 3) // 4, dtype=torch.int64, device=like.device)
    words.random_(-(2**63), None)  # without bounds the top bit would always be zero
    return words.view(torch.int16)[: like.numel()].view(like.shape)


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
