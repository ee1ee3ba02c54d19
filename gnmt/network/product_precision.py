"""Precision of the network's large products: the type of the operands, or the type that torch.autocast requests.

Under autocast, parameters, their gradients, cell states and softmax stay in float32. Layers, attention and loss compute
products and store activations in half precision.
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
    """Returns a context for forward passes with large products in `precision`; float32 leaves autocast as it is.

    The cache of converted weights is off. Weights cached by a pass without gradients, such as sampling, would have no
    gradient in the next pass.

    Args:
        precision: type of the products.
        device: type of the device, such as "cuda".
    """
    if precision == torch.float32:
        return nullcontext()
    return torch.autocast(device, precision, cache_enabled=False)
