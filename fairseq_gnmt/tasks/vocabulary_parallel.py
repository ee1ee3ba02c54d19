"""--vocabulary-parallel in the task: division of a new model, and gathering for translation."""

from typing import Any, Dict, List, NamedTuple, Optional

import torch
import torch.distributed as dist
from torch import nn

from gnmt.errors import UserError
from gnmt.training.sharded_layers import shard_vocabulary
from gnmt.training.vocabulary_shards import vocabulary_shard


class BLEUCounts(NamedTuple):
    """Statistics of a BLEU score that can be summed."""

    counts: List[int]
    totals: List[int]
    sys_len: int
    ref_len: int


def divide_over_processes(model: nn.Module, processes: int) -> None:
    """Replaces the model's output layer by the shard of this process.

    Args:
        model: GNMT model, changed in place.
        processes: value of --vocabulary-parallel.

    Raises:
        UserError: if the number of processes differs from the number of shards, or exceeds the number of target tokens.
    """
    running = dist.get_world_size() if dist.is_initialized() else 1
    if running != processes:
        raise UserError(f"--vocabulary-parallel {processes} needs as many processes, but there are {running}.")
    num_tokens = model.decoder.output_projection.out_features
    if num_tokens < processes:
        raise UserError(
            f"--vocabulary-parallel {processes} is more than the {num_tokens} tokens of the target vocabulary: give fewer."
        )
    shard_vocabulary(model, vocabulary_shard(num_tokens, dist.get_rank(), processes))


def own_sentences(sample: Dict[str, Any]) -> Optional[Dict[str, Any]]:
    """Returns the sentences of a batch that this process translates; None if there are none."""
    rows = torch.arange(dist.get_rank(), len(sample["target"]), dist.get_world_size())
    if not len(rows):
        return None
    source = {name: value[rows.to(value.device)] for name, value in sample["net_input"].items()}
    target = sample["target"]
    return {**sample, "net_input": source, "target": target[rows.to(target.device)], "nsentences": len(rows)}


def summed_counts(score: Optional[Any], order: int, device: torch.device) -> BLEUCounts:
    """Returns BLEU statistics, summed over all processes.

    Args:
        score: sacrebleu's score of this process; None without sentences.
        order: length of the longest n-gram.
        device: device of the communication.
    """
    numbers = [0] * (2 * order + 2) if score is None else [*score.counts, *score.totals, score.sys_len, score.ref_len]
    sums = torch.tensor(numbers, device=device)
    dist.all_reduce(sums)
    counts = sums.tolist()
    return BLEUCounts(counts[:order], counts[order : 2 * order], *counts[2 * order :])
