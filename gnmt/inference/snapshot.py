"""Snapshot of a model's parameters, to detect later changes without reading all values."""

from typing import List, NamedTuple, Optional

import torch
from torch import Tensor, nn

PROBES = 16  # elements of a tensor that are compared


class TensorSnapshot(NamedTuple):
    """Record of a tensor's memory and values, to detect changes."""

    alias: Tensor  # keeps the memory, so that no later tensor can have the same address
    version: Optional[int]  # torch's counter of in-place changes; None for tensors made in inference mode
    probe: Tensor  # copy of some elements, or of all elements if there is no counter

    def describes(self, tensor: Tensor) -> bool:
        """Returns True if the tensor has the recorded memory, counter and values."""
        same_memory = tensor.data_ptr() == self.alias.data_ptr() and tensor.dtype == self.alias.dtype
        same_version = same_memory and tensor.shape == self.alias.shape and version_of(tensor) == self.version
        return same_version and torch.equal(probe_of(tensor), self.probe)


class Snapshot:
    """Parameters and buffers of a model.

    A parameter counts as changed if it was replaced or moved, if torch's version counter has advanced, or if one of 16
    elements differs. The last check detects changes through `parameter.data`, which torch does not count.
    """

    def __init__(self, model: nn.Module):
        self.tensors = [
            TensorSnapshot(tensor.detach(), version_of(tensor), probe_of(tensor).clone())
            for tensor in tensors_of(model)
        ]

    def describes(self, model: nn.Module) -> bool:
        """Returns True if nothing has changed since the snapshot."""
        tensors = tensors_of(model)
        return len(tensors) == len(self.tensors) and all(map(TensorSnapshot.describes, self.tensors, tensors))


def tensors_of(model: nn.Module) -> List[Tensor]:
    """Returns the parameters and buffers of a model."""
    return [*model.parameters(), *model.buffers()]


def version_of(tensor: Tensor) -> Optional[int]:
    """Returns torch's counter of in-place changes; None for tensors made in inference mode."""
    return None if tensor.is_inference() else tensor._version


def probe_of(tensor: Tensor) -> Tensor:
    """Returns some elements of a tensor, or all elements if it has no counter of changes."""
    elements = tensor.detach().flatten()
    return elements if tensor.is_inference() else elements[:: max(1, len(elements) // PROBES)]
