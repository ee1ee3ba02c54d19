"""Block-wise model-update filtering (BMUF): replicas are merged after blocks of updates (Chen and Huo 2016).

K. Chen and Q. Huo, "Scalable training of deep learning machines by incremental block training with intra-block parallel
optimization and blockwise model-update filtering", ICASSP 2016. The formulas equal the formulas of
fairseq/optim/bmuf.py. Collective operations use torch.distributed's default group; every process has one replica.
"""

from typing import Any, Dict, Iterable, List, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor


class BlockFilter(NamedTuple):
    """Constants of the filter.

    Args:
        momentum: block momentum m.
        rate: block learning rate.
        nesterov: use Nesterov momentum.
    """

    momentum: float
    rate: float = 1.0
    nesterov: bool = False


@torch.no_grad()
def filtered(mean: Tensor, start: Tensor, velocity: Tensor, block_filter: BlockFilter) -> Tensor:
    """Returns the global weights after a block: W = start - v, or W = start - v - m v with Nesterov momentum.

    v is updated in place: v = m v + rate (start - mean).

    Args:
        mean: mean weights of the replicas at the end of the block.
        start: global weights at the start of the block.
        velocity: v of the previous blocks, of the same shape.
        block_filter: constants of the filter.
    """
    velocity.mul_(block_filter.momentum).add_(start - mean, alpha=block_filter.rate)
    return start - velocity * (1 + block_filter.momentum if block_filter.nesterov else 1)


@torch.no_grad()
def average(tensors: Iterable[Tensor]) -> None:
    """Replaces tensors by their means over the processes, in place."""
    for tensor in tensors:
        tensor.div_(dist.get_world_size())
        dist.all_reduce(tensor)


@torch.no_grad()
def broadcast_from_first(tensors: Iterable[Tensor]) -> None:
    """Replaces the tensors of all processes by the tensors of the first process, in place."""
    for tensor in tensors:
        dist.broadcast(tensor, src=0)


def moments(optimizer: torch.optim.Optimizer) -> List[Tensor]:
    """Returns the tensors of an optimizer's state with the shape of their parameter, in a fixed order."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    states: List[Dict[str, Any]] = [optimizer.state.get(parameter, {}) for parameter in parameters]
    return [
        state[name]
        for parameter, state in zip(parameters, states)
        for name in sorted(state)
        if isinstance(state[name], Tensor) and state[name].shape == parameter.shape
    ]
