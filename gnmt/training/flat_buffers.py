"""Flat float32 buffers of a network's parameters, gradients and moments, and their division into shards.

A buffer holds the elements of all tensors in the order of the tensors. A shard is a range of the buffer.
"""

from itertools import pairwise
from typing import Any, Dict, List, NamedTuple, Sequence

import numpy as np
import torch
from torch import Tensor

# Boundaries of shards inside a tensor are at multiples of GRANULE elements from its start. Vectorised kernels then
# process every element as in the whole tensor, so that results are bitwise equal.
GRANULE = 64
COUNTS = ("step",)  # entries of the optimizer's state that are equal for all tensors
NOT_COPIED = ("params", "lr")  # entries of a parameter group that are not copied to another optimizer


class Shard(NamedTuple):
    """Elements `begin` to `end` of a flat buffer.

    Args:
        begin: index of the first element.
        end: index after the last element.
        sizes: sizes of the pieces of the shard, each from one tensor.
    """

    begin: int
    end: int
    sizes: List[int]


class FlatState(NamedTuple):
    """State of an optimizer with one parameter group.

    Args:
        moments: flat buffers by name, such as exp_avg; empty before the first update.
        counts: numbers that are equal for all tensors, such as step.
        settings: entries of the parameter group, without its parameters and its learning rate.
    """

    moments: Dict[str, np.ndarray]
    counts: Dict[str, float]
    settings: Dict[str, Any]

    def part(self, shard: Shard) -> "FlatState":
        """Returns the state of one shard."""
        return self._replace(moments={name: flat[shard.begin : shard.end] for name, flat in self.moments.items()})


def divide_into_shards(sizes: Sequence[int], count: int) -> List[Shard]:
    """Divides tensors into shards of nearly equal size.

    Args:
        sizes: number of elements of each tensor.
        count: maximum number of shards.

    Example:
        >>> divide_into_shards([100, 28], 2)
        [Shard(begin=0, end=64, sizes=[64]), Shard(begin=64, end=128, sizes=[36, 28])]
    """
    starts = np.cumsum([0, *sizes]).tolist()
    bounds = [0]
    for target in (starts[-1] * number // count for number in range(1, count)):
        start = max(start for start in starts if start <= target)
        bounds.append(start + (target - start) // GRANULE * GRANULE)
    bounds.append(starts[-1])
    shards = []
    for begin, end in pairwise(bounds):
        edges = [begin, *(start for start in starts if begin < start < end), end]
        if begin < end:
            shards.append(Shard(begin, end, [after - before for before, after in pairwise(edges)]))
    return shards


def flatten(tensors: Sequence[Tensor]) -> np.ndarray:
    """Returns the elements of tensors in a new float32 buffer on the CPU."""
    return torch.cat([tensor.detach().flatten().cpu() for tensor in tensors]).float().numpy()


@torch.no_grad()
def unflatten(flat: np.ndarray, tensors: Sequence[Tensor]) -> None:
    """Copies a buffer into tensors.

    Args:
        flat: buffer with the elements of all tensors; may be read-only, as in Ray's object store.
        tensors: tensors to overwrite.
    """
    place = 0
    for tensor in tensors:
        values = torch.from_numpy(np.array(flat[place : place + tensor.numel()]))
        tensor.copy_(values.view(tensor.shape))
        place += tensor.numel()


def copy_state(optimizer: torch.optim.Optimizer) -> FlatState:
    """Returns a copy of the state of an optimizer with one parameter group."""
    (group,) = optimizer.param_groups
    states = [optimizer.state[parameter] for parameter in group["params"] if parameter in optimizer.state]
    first = states[0] if states else {}
    counts = {name: float(first[name]) for name in first if name in COUNTS}
    moments = {name: flatten([state[name] for state in states]) for name in first if name not in COUNTS}
    return FlatState(moments, counts, {name: value for name, value in group.items() if name not in NOT_COPIED})


def load_state(optimizer: torch.optim.Optimizer, state: FlatState) -> None:
    """Loads a state into an optimizer with one parameter group, which keeps its learning rate."""
    (group,) = optimizer.param_groups
    group.update(state.settings)
    optimizer.state.clear()
    for name, flat in state.moments.items():
        values = [torch.empty_like(parameter, dtype=torch.float32) for parameter in group["params"]]
        unflatten(flat, values)
        for parameter, value in zip(group["params"], values):
            optimizer.state[parameter][name] = value
    for name, count in state.counts.items():
        for parameter in group["params"]:
            optimizer.state[parameter][name] = torch.tensor(count, dtype=torch.float32)


def join(states: Sequence[FlatState]) -> FlatState:
    """Returns the state of the whole buffer from the states of its shards, in order."""
    moments = {name: np.concatenate([state.moments[name] for state in states]) for name in states[0].moments}
    return states[0]._replace(moments=moments)
