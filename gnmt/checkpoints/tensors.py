"""Tensors of torch's checkpoints, rebuilt from memory that a file describes.

Every number in the file is checked: a tensor must be within its memory and must not have more elements than the memory.
"""

import math
from typing import Any, NamedTuple, Tuple

import torch
from torch import Tensor

from gnmt.checkpoints.pickles import InvalidPickle


class StorageType(NamedTuple):
    """Type of the numbers in a storage."""

    dtype: torch.dtype


STORAGE_TYPES = {
    "torch.DoubleStorage": StorageType(torch.float64),
    "torch.FloatStorage": StorageType(torch.float32),
    "torch.HalfStorage": StorageType(torch.float16),
    "torch.BFloat16Storage": StorageType(torch.bfloat16),
    "torch.LongStorage": StorageType(torch.int64),
    "torch.IntStorage": StorageType(torch.int32),
    "torch.ShortStorage": StorageType(torch.int16),
    "torch.CharStorage": StorageType(torch.int8),
    "torch.ByteStorage": StorageType(torch.uint8),
    "torch.BoolStorage": StorageType(torch.bool),
}
MAX_DIMENSIONS = 8
MAX_ELEMENTS = 2**40  # in one dimension, even of an empty tensor


class Storage(NamedTuple):
    """Memory of one or more tensors."""

    dtype: torch.dtype
    elements: int
    memory: torch.UntypedStorage


class StorageId(NamedTuple):
    """Description of a storage in a pickle."""

    dtype: torch.dtype
    key: str
    elements: int

    @property
    def bytes(self) -> int:
        """Size in bytes."""
        return self.elements * self.dtype.itemsize


def storage_id(identity: tuple) -> StorageId:
    """Checks a persistent id: ("storage", type, key, device, elements), with a final None in old files."""
    if len(identity) not in (5, 6) or identity[0] != "storage" or identity[5:] not in ((), (None,)):
        raise InvalidPickle("it has a reference that is not to the memory of a tensor")
    _, kind, key, _, elements = identity[:5]
    if type(kind) is not StorageType or type(key) is not str or not is_count(elements):
        raise InvalidPickle("it describes the memory of a tensor wrongly")
    return StorageId(kind.dtype, key, elements)


def is_count(value: Any) -> bool:
    """Returns True for an integer of at least 0."""
    return type(value) is int and value >= 0


def rebuild_tensor(
    storage: Storage, offset: int, size: Tuple[int, ...], stride: Tuple[int, ...], requires_grad: bool, hooks: dict,
    metadata: Any = None,
) -> Tensor:  # fmt: skip
    """Returns the tensor of torch._utils._rebuild_tensor_v2, if the arguments describe a plain tensor.

    Args:
        storage: memory of the tensor.
        offset: position of its first element.
        size: shape.
        stride: distance of elements in memory, by dimension.
        requires_grad: flag of the tensor.
        hooks: must be empty.
        metadata: must be empty.

    Raises:
        InvalidPickle: for any other arguments.
    """
    if type(storage) is not Storage or type(requires_grad) is not bool or hooks or metadata:
        raise InvalidPickle("it describes a tensor wrongly")
    if not type(size) is type(stride) is tuple or len(size) != len(stride) or len(size) > MAX_DIMENSIONS:
        raise InvalidPickle("it has a tensor with a size and a stride of different lengths")
    if not all(map(is_count, (offset, *size, *stride))):
        raise InvalidPickle("it has a tensor with sizes that are not whole numbers")
    elements = math.prod(size)
    last = offset + sum((length - 1) * step for length, step in zip(size, stride)) if elements else offset - 1
    if elements > storage.elements or last >= storage.elements or max(size, default=0) > MAX_ELEMENTS:
        raise InvalidPickle(f"it has a tensor of {size} in the memory of {storage.elements} numbers")
    tensor = torch.empty(0, dtype=storage.dtype, device=storage.memory.device)
    tensor.set_(storage.memory, offset, size, stride)
    return tensor.requires_grad_(requires_grad and storage.dtype.is_floating_point)


def rebuild_parameter(data: Tensor, requires_grad: bool, hooks: dict) -> torch.nn.Parameter:
    """Returns the parameter of torch._utils._rebuild_parameter.

    Args:
        data: tensor of the parameter.
        requires_grad: flag of the parameter.
        hooks: must be empty.
    """
    learnt = type(data) is Tensor and (data.is_floating_point() or not requires_grad)
    if not learnt or type(requires_grad) is not bool or hooks:
        raise InvalidPickle("it describes a parameter wrongly")
    return torch.nn.Parameter(data, requires_grad)
