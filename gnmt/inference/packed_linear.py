"""Linear layer with weights in the memory layout of the decoding kernels."""

from typing import Optional

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class PackedLinear(nn.Module):
    """Linear layer y = W x + b in float32, for inference on a CPU.

    For the few rows of a beam, weights packed for oneDNN are read twice as fast as weights of nn.Linear. Weights are
    copied: later changes of the originals have no effect.
    """

    def __init__(self, weight: Tensor, bias: Optional[Tensor] = None):
        """Copies weight (O, I) and bias (O,)."""
        super().__init__()
        self.packed = torch.ops.mkldnn._reorder_linear_weight(weight.detach())
        self.bias = None if bias is None else bias.detach().clone()

    def forward(self, inputs: Tensor) -> Tensor:
        """Multiplies inputs (..., I); returns (..., O)."""
        return torch.ops.mkldnn._linear_pointwise(inputs, self.packed, self.bias, "none", [], "")


class PlainLinear(nn.Module):
    """Linear layer without oneDNN: for half precision, a GPU, or a torch build without these operators.

    Weights are not copied: the layer follows changes of the originals in place.
    """

    def __init__(self, weight: Tensor, bias: Optional[Tensor] = None):
        """Keeps weight (O, I) and bias (O,), without their gradients."""
        super().__init__()
        self.weight, self.bias = weight.detach(), None if bias is None else bias.detach()

    def forward(self, inputs: Tensor) -> Tensor:
        """Multiplies inputs (..., I); returns (..., O)."""
        return F.linear(inputs, self.weight, self.bias)


def inference_linear(weight: Tensor, bias: Optional[Tensor] = None) -> nn.Module:
    """Returns the faster supported layer for weight (O, I) and bias (O,)."""
    return PackedLinear(weight, bias) if can_pack(weight) else PlainLinear(weight, bias)


def can_pack(weight: Tensor) -> bool:
    """Returns True if weights of this type and device can be packed for oneDNN."""
    return weight.dtype == torch.float32 and weight.device.type == "cpu" and has_packed_linear()


def has_packed_linear() -> bool:
    """Returns True if torch's build has the operators of oneDNN."""
    has_operators = all(hasattr(torch.ops.mkldnn, name) for name in ("_reorder_linear_weight", "_linear_pointwise"))
    return torch.backends.mkldnn.is_available() and has_operators
