"""Linear layers in bfloat16, for decoding on a CPU.

Inputs and outputs are float32. Weights and inputs are rounded to bfloat16; their products are summed in float32.

Shapes: I input size, O output size.
"""

from typing import Optional

import torch
from torch import Tensor, nn

from gnmt.inference.packed_linear import has_packed_linear, inference_linear

INSTRUCTIONS = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # of torch.cpu


class Bf16Linear(nn.Module):
    """Linear layer with oneDNN's bfloat16 products, which round the result to bfloat16; for inference on a CPU.

    A row of the result does not depend on the other rows or on the number of threads. oneDNN sums the products of a row
    in one order, except for a single row; a single row is therefore padded to two.

    Args:
        weight: (O, I).
        bias: (O,).
    """

    def __init__(self, weight: Tensor, bias: Optional[Tensor] = None):
        """Copies weight (O, I) and bias (O,)."""
        super().__init__()
        self.packed = torch.ops.mkldnn._reorder_linear_weight(weight.detach().bfloat16())
        # The float32 bias is added before the result is rounded.
        self.bias = None if bias is None else bias.detach().float().clone()

    def forward(self, inputs: Tensor) -> Tensor:
        """Multiplies inputs (..., I); returns (..., O), float32."""
        rows = inputs.reshape(-1, inputs.size(-1)).bfloat16()
        at_least_two = torch.cat([rows, rows]) if len(rows) == 1 else rows
        products = torch.ops.mkldnn._linear_pointwise(at_least_two, self.packed, self.bias, "none", [], "")
        return products[: len(rows)].float().view(*inputs.shape[:-1], products.size(1))


class EmulatedBf16Linear(nn.Module):
    """Bf16Linear with float32 products, for processors and torch builds without bfloat16.

    Results are equal except for the last bit. float32 products may round a row differently in another batch.
    """

    def __init__(self, weight: Tensor, bias: Optional[Tensor] = None):
        """Copies weight (O, I) and bias (O,)."""
        super().__init__()
        copied_bias = None if bias is None else bias.detach().float().clone()
        self.product = inference_linear(weight.detach().bfloat16().float(), copied_bias)

    def forward(self, inputs: Tensor) -> Tensor:
        """Multiplies inputs (..., I); returns (..., O), float32."""
        return self.product(inputs.bfloat16().float()).bfloat16().float()


def bf16_linear(weight: Tensor, bias: Optional[Tensor] = None) -> nn.Module:
    """Returns the bfloat16 layer for this processor, from weight (O, I) and bias (O,)."""
    return Bf16Linear(weight, bias) if has_bf16_products() else EmulatedBf16Linear(weight, bias)


def has_bf16_products() -> bool:
    """Returns True if the processor and torch's build support products in bfloat16."""
    return has_packed_linear() and any(getattr(torch.cpu, name, lambda: False)() for name in INSTRUCTIONS)
