"""Precision of the network's large products: that of their operands, or the one that torch.autocast asks for.

Under autocast parameters, their gradients, cell states and softmax stay in float32. Layers, attention and loss compute
products, and keep activations, in half precision.
"""

from contextlib import nullcontext
from typing import ContextManager

import torch
from torch import Tensor


def product_precision(inputs: Tensor) -> torch.dtype:
    """Returns the type in which products with the inputs are computed."""
    device = inputs.device.type
    if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
        return torch.get_autocast_dtype(device)
    return inputs.dtype


def products_in(precision: torch.dtype, device: str) -> ContextManager[None]:
    """Returns a context for forward passes with large products in `precision`; float32 is the usual arithmetic.

    Converted weights are not kept within the context: those that a pass without gradient leaves, as the drawing of samples
    does, would have no gradient in the next one.
    """
    if precision == torch.float32:
        return nullcontext()
    return torch.autocast(device, precision, cache_enabled=False)
