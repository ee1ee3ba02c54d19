"""Shards of the vocabulary: each process stores the output layer's rows of some tokens (Wu et al. 2016, section 3).

Collective operations of this package use torch.distributed's default group, in which every process has one shard.
"""

from typing import NamedTuple, Tuple

import torch
import torch.distributed as dist
from torch import Tensor

from gnmt.errors import UserError


class VocabularyShard(NamedTuple):
    """Rows of the vocabulary's matrices that one process holds.

    Args:
        rank: rank of the process.
        bounds: first row of each shard, followed by the total number of rows.
    """

    rank: int
    bounds: Tuple[int, ...]

    @property
    def first(self) -> int:
        """First row of this shard."""
        return self.bounds[self.rank]

    @property
    def size(self) -> int:
        """Number of rows of this shard."""
        return self.bounds[self.rank + 1] - self.first

    @property
    def vocabulary_size(self) -> int:
        """Number of rows of all shards."""
        return self.bounds[-1]

    @property
    def shards(self) -> int:
        """Number of shards."""
        return len(self.bounds) - 1


def vocabulary_shard(vocabulary_size: int, rank: int, count: int) -> VocabularyShard:
    """Returns the shard of a process; the sizes of the shards differ by at most one row.

    Args:
        vocabulary_size: V, number of tokens.
        rank: rank of the process.
        count: number of processes.
    """
    return VocabularyShard(rank, tuple(vocabulary_size * index // count for index in range(count + 1)))


def rows_of_shard(whole: Tensor, shard: VocabularyShard) -> Tensor:
    """Returns a copy of the rows (V', ...) of a shard.

    Args:
        whole: matrix or vector (V, ...).
        shard: shard to select.

    Raises:
        UserError: if the number of rows is not the size of the vocabulary.
    """
    if len(whole) != shard.vocabulary_size:
        raise UserError(f"The weights are of {len(whole)} tokens, but the vocabulary has {shard.vocabulary_size}.")
    return whole.narrow(0, shard.first, shard.size).clone()


@torch.no_grad()
def gather_shards(rows: Tensor, shard: VocabularyShard) -> Tensor:
    """Gathers the rows of all processes to a tensor (V, ...). All processes must call it.

    Args:
        rows: (V', ...), rows of this process.
        shard: shard of this process.
    """
    whole = rows.new_empty(shard.vocabulary_size, *rows.shape[1:])
    for rank, (first, end) in enumerate(zip(shard.bounds, shard.bounds[1:])):
        part = whole[first:end]
        if rank == shard.rank:
            part.copy_(rows)
        dist.broadcast(part, src=rank)
    return whole


def tokens_of_shard(tokens: Tensor, shard: VocabularyShard) -> Tuple[Tensor, Tensor]:
    """Returns the row of each token in a shard (0 for tokens of other shards), and a mask of the shard's tokens.

    Args:
        tokens: (...), ids of the whole vocabulary.
        shard: shard of this process.
    """
    rows = tokens - shard.first
    is_local = (rows >= 0) & (rows < shard.size)
    return rows.masked_fill(~is_local, 0), is_local
