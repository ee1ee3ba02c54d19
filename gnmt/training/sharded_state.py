"""Optimizer state and gradient norm of a network with sharded parameters."""

from typing import Any, Callable, Dict, Iterable, List

import torch
import torch.distributed as dist
from torch import Tensor, nn

from gnmt.training.vocabulary_shards import VocabularyShard, gather_shards, rows_of_shard

State = Dict[str, Any]  # of a torch.optim.Optimizer


def gather_state(state: State, sharded: Iterable[int], shard: VocabularyShard) -> State:
    """Returns an optimizer's state with whole moments in place of sharded moments. All processes must call it.

    Args:
        state: result of `torch.optim.Optimizer.state_dict`.
        sharded: indices of the sharded parameters.
        shard: shard of this process.
    """
    return _changed(state, sharded, shard.size, lambda moment: gather_shards(moment, shard))


def shard_state(state: State, sharded: Iterable[int], shard: VocabularyShard) -> State:
    """Returns an optimizer's state with sharded moments in place of whole moments.

    Args:
        state: result of `torch.optim.Optimizer.state_dict` for whole parameters.
        sharded: indices of the sharded parameters.
        shard: shard of this process.
    """
    return _changed(state, sharded, shard.vocabulary_size, lambda moment: rows_of_shard(moment, shard))


def _changed(state: State, sharded: Iterable[int], size: int, change: Callable[[Tensor], Tensor]) -> State:
    moments = dict(state["state"])
    for index in sharded:
        if index in moments:
            moments[index] = {
                name: change(value) if isinstance(value, Tensor) and value.dim() and len(value) == size else value
                for name, value in moments[index].items()
            }
    return {**state, "state": moments}


def whole_gradient_norm(replicated: List[nn.Parameter], sharded: List[nn.Parameter]) -> Tensor:
    """Returns the norm of the whole network's gradient, which is equal on every process.

    Args:
        replicated: replicated parameters, with equal gradients on every process.
        sharded: sharded parameters of this process.
    """
    counted = [*sharded, *(replicated if dist.get_rank() == 0 else [])]
    norms = [torch.linalg.vector_norm(parameter.grad) for parameter in counted if parameter.grad is not None]
    square = torch.stack(norms).square().sum() if norms else sharded[0].new_zeros(())
    dist.all_reduce(square)
    return square.sqrt()
