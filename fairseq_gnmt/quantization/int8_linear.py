"""Linear layers in 8-bit integers: weights with one scale per row (Wu et al. 2016, section 6).

Inputs have a known range, if training kept them in one; otherwise a row of inputs has its own scale, never its batch's.
So a translation does not depend on its batch mates.
Shapes: N rows of inputs, I inputs, O outputs.
"""
import functools
from typing import Optional, Tuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LEVELS = 127  # weights are integers from -127 to 127
# oneDNN multiplies unsigned by signed bytes. Processors without VNNI add pairs of products in 16 bits, which hold
# 2 x 127 x 127 but not 2 x 255 x 127: there the inputs get 7 bits.
EIGHT_BITS, SEVEN_BITS = 127, 63


def quantize_rows(weight: Tensor) -> Tuple[Tensor, Tensor]:
    """weight (O, I) to integers (O, I), int8, and scales (O,), float32, with weight ~ integers * scale.

    s_i = max_j |W_ij|,  WQ_ij = round(W_ij / s_i * 127); the scale returned is s_i / 127, and 1 for a row of zeros.
    """
    largest = weight.detach().float().abs().amax(dim=1)
    scale = torch.where(largest > 0, largest / LEVELS, torch.ones_like(largest))
    return (weight.detach().float() / scale[:, None]).round_().to(torch.int8), scale


def rounded_rows(weight: Tensor) -> Tensor:
    """weight (O, I) as float32 numbers that `quantize_rows` represents exactly."""
    integers, scale = quantize_rows(weight)
    return integers.to(torch.float32) * scale[:, None]


def quantize_inputs(inputs: Tensor, levels: int) -> Tuple[Tensor, Tensor]:
    """inputs (N, I) to bytes (N, I) that stand for integers from -levels to levels, and scales (N, 1).

    A byte is its integer + levels + 1; the integer is round(x / s) with s = max_j |x_ij| / levels.
    """
    scale = inputs.abs().amax(dim=1, keepdim=True).clamp_(min=torch.finfo(inputs.dtype).tiny * LEVELS).div_(levels)
    return (inputs / scale).round_().add_(levels + 1).to(torch.uint8), scale


def quantize_known_inputs(inputs: Tensor, levels: int, limit: float) -> Tensor:
    """inputs within -limit..limit to bytes as of `quantize_inputs`, with the scale limit / levels; others saturate."""
    return (inputs * (levels / limit)).round_().clamp_(-levels, levels).add_(levels + 1).to(torch.uint8)


def multiply_by_onednn(inputs: Tensor, levels: int, packed: Tensor, scale: Tensor, zero_points: Tensor) -> Tensor:
    """bytes (N, I) times packed weights, exactly, times scale (O,): (N, O), float32. zero_points (O,) are zeros."""
    return torch.ops.onednn.qlinear_pointwise(
        inputs, 1.0, levels + 1, packed, scale, zero_points, None, 1.0, 0, torch.float32, "none", [], ""
    )


@functools.cache
def onednn_levels() -> Optional[int]:
    """The levels of inputs that oneDNN multiplies exactly on this processor; None if it cannot at all."""
    if not (hasattr(torch.ops.onednn, "qlinear_prepack") and hasattr(torch.ops.onednn, "qlinear_pointwise")):
        return None
    weight = torch.full((16, 64), LEVELS, dtype=torch.int8)
    scale, zero_points = torch.ones(16), torch.zeros(16, dtype=torch.long)
    for levels in (EIGHT_BITS, SEVEN_BITS):
        inputs = torch.full((2, 64), 2 * levels + 1, dtype=torch.uint8)
        try:
            packed = torch.ops.onednn.qlinear_prepack(weight, None)
            product = multiply_by_onednn(inputs, levels, packed, scale, zero_points)
        except RuntimeError:  # a torch that has the name and another signature
            return None
        if (product == 64 * levels * LEVELS).all():
            return levels
    return None


class Int8Linear(nn.Module):
    """y = W x + b with W and x in 8-bit integers and their products summed exactly, for inference on a CPU."""

    def __init__(self, weight: Tensor, bias: Optional[Tensor] = None, input_limit: Optional[float] = None):
        """weight (O, I), bias (O,); inputs are known to lie within -input_limit..input_limit, if it is given."""
        super().__init__()
        self.input_limit = input_limit
        integers, self.scale = quantize_rows(weight)
        self.zero_points = torch.zeros(len(weight), dtype=torch.long)
        self.bias = torch.zeros(len(weight)) if bias is None else bias.detach().float()
        self.levels = onednn_levels() or EIGHT_BITS
        # Sums of integers are exact in float32 up to 2^24: where oneDNN cannot serve, floats still give its numbers, slowly.
        self.packed = torch.ops.onednn.qlinear_prepack(integers, None) if onednn_levels() else integers.float()

    def forward(self, inputs: Tensor) -> Tensor:
        """(..., I) to (..., O), float32."""
        rows = inputs.reshape(-1, inputs.size(-1)).float()
        if self.input_limit is None:
            integers, scale = quantize_inputs(rows, self.levels)
        else:
            integers = quantize_known_inputs(rows, self.levels, self.input_limit)
            scale = rows.new_full((1, 1), self.input_limit / self.levels)
        if onednn_levels():
            products = multiply_by_onednn(integers, self.levels, self.packed, self.scale, self.zero_points)
        else:
            products = F.linear(integers.float() - (self.levels + 1), self.packed) * self.scale
        return torch.addcmul(self.bias, products, scale).view(*inputs.shape[:-1], -1)
