"""Linear layers in 8-bit integers: weights with one scale per row (Wu et al. 2016, section 6).

After quantisable training inputs have a known range. Otherwise each row of inputs has its own scale, so a translation
does not depend on the other sentences of its batch.

Shapes: N rows of inputs, I input size, O output size.
"""

from typing import Optional, Tuple

import torch
from torch import Tensor, nn

from gnmt.quantization.int8_kernels import FEW_ROWS, WEIGHT_QMAX, make_kernels


def row_scales(weight: Tensor) -> Tensor:
    """Returns the scales s_i / 127 with s_i = max_j |W_ij| for weight (O, I): (O,), float32; 1 for a row of zeros."""
    largest = weight.detach().float().abs().amax(dim=1)
    return torch.where(largest > 0, largest / WEIGHT_QMAX, torch.ones_like(largest))


def quantize(weight: Tensor, scale: Tensor) -> Tensor:
    """Returns round(weight / scale), int8; scale is (O, 1) or (O, I)."""
    return (weight.detach().float() / scale).round_().to(torch.int8)


def quantize_rows(weight: Tensor) -> Tuple[Tensor, Tensor]:
    """Quantises weight (O, I) by WQ_ij = round(W_ij / s_i * 127) (Wu et al. 2016, section 6).

    Returns:
        Integers (O, I), int8, and scales (O,), float32; weight ~ integers * scale.
    """
    scale = row_scales(weight)
    return quantize(weight, scale[:, None]), scale


def dequantized_rows(weight: Tensor) -> Tensor:
    """Returns weight (O, I) rounded to float32 numbers that `quantize_rows` represents exactly."""
    integers, scale = quantize_rows(weight)
    return integers.to(torch.float32) * scale[:, None]


def quantize_inputs(inputs: Tensor, qmax: int) -> Tuple[Tensor, Tensor]:
    """Quantises inputs (N, I) by round(x / s) with s = max_j |x_ij| / qmax.

    Returns:
        Integers (N, I) from -qmax to qmax, stored in float32, and scales (N, 1).
    """
    # At least tiny * 127, so that the scale is a normal number for every qmax.
    scale = inputs.abs().amax(dim=1, keepdim=True).clamp_(min=torch.finfo(inputs.dtype).tiny * WEIGHT_QMAX).div_(qmax)
    return (inputs / scale).round_(), scale


def quantize_inputs_with_limit(inputs: Tensor, qmax: int, limit: float) -> Tensor:
    """Quantises inputs (N, I) with the known scale limit / qmax; inputs outside -limit..limit saturate."""
    return (inputs * (qmax / limit)).round_().clamp_(-qmax, qmax)


class Int8Linear(nn.Module):
    """Linear layer with weights and inputs in 8-bit integers and exact sums, for inference on a CPU."""

    def __init__(self, weight: Tensor, bias: Optional[Tensor] = None, input_limit: Optional[float] = None):
        """Quantises the weights.

        Args:
            weight: (O, I).
            bias: (O,).
            input_limit: inputs are within -input_limit..input_limit; None gives each row of inputs its own scale.
        """
        super().__init__()
        self.input_limit = input_limit
        self.kernels = make_kernels(*quantize_rows(weight))
        self.bias = torch.zeros(len(weight)) if bias is None else bias.detach().float().clone()

    def forward(self, inputs: Tensor) -> Tensor:
        """Multiplies inputs (..., I); returns (..., O), float32."""
        rows = inputs.reshape(-1, inputs.size(-1)).float()
        qmax = self.kernels.qmax
        if self.input_limit is None:
            integers, scale = quantize_inputs(rows, qmax)
        else:
            integers = quantize_inputs_with_limit(rows, qmax, self.input_limit)
            scale = rows.new_full((1, 1), self.input_limit / qmax)
        matmul = self.kernels.few_rows if len(rows) <= FEW_ROWS else self.kernels.many_rows
        products = matmul(integers)
        return torch.addcmul(self.bias, products, scale, out=products).view(*inputs.shape[:-1], len(self.bias))
