"""Shares of a batch: each process runs the recurrent layers for some sentences, then all features are gathered.

Shapes: B sentences of the batch, W processes, R = ceil(B / W) sentences of each process.
"""

from typing import Iterable

import torch
import torch.distributed as dist
from torch import Tensor


def rows_of_process(batch: int, rank: int, processes: int) -> Tensor:
    """Returns the rows (R,) of a batch for one process: rank, rank + W, rank + 2W and so on.

    All processes have the same number of rows, so that their tensors have equal shapes. The last processes may therefore
    run a row of another process again, which `gather_batch` drops.

    Args:
        batch: number of sentences B.
        rank: rank of the process.
        processes: number of processes W.
    """
    rows = -(-batch // processes)
    return torch.arange(rank, rows * processes, processes) % batch


def gather_batch(rows: Tensor, batch: int) -> Tensor:
    """Gathers the rows (R, ...) of each process to the rows (B, ...) of the batch, in the order of the batch.

    In the backward pass, every process must have the same gradient: the gradient of the whole loss. Each process keeps
    the gradient of its own rows, without communication.

    Args:
        rows: (R, ...), rows of this process.
        batch: number of sentences B.
    """
    return _GatherBatch.apply(rows, batch)


class _GatherBatch(torch.autograd.Function):
    @staticmethod
    def forward(ctx, rows: Tensor, batch: int) -> Tensor:
        ctx.rank, ctx.processes = dist.get_rank(), dist.get_world_size()
        gathered = all_gather(rows)
        return gathered.transpose(0, 1).flatten(0, 1)[:batch]

    @staticmethod
    def backward(ctx, gradient: Tensor):
        rows = -(-len(gradient) // ctx.processes)
        padded = gradient.new_zeros(rows * ctx.processes, *gradient.shape[1:])
        padded[: len(gradient)] = gradient
        return padded[ctx.rank :: ctx.processes], None


def all_gather(tensor: Tensor) -> Tensor:
    """Gathers the tensors (...) of all processes, which must have equal shapes, to one tensor (W, ...)."""
    gathered = tensor.new_empty(dist.get_world_size(), *tensor.shape)
    dist.all_gather(list(gathered), tensor.contiguous())
    return gathered


def sum_gradients(parameters: Iterable[torch.nn.Parameter]) -> None:
    """Replaces the gradients of replicated parameters by their sums over the processes."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    works = [dist.all_reduce(gradient, async_op=True) for gradient in gradients]
    for work in works:
        work.wait()
