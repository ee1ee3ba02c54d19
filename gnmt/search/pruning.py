"""Pruning of a beam search (Wu et al. 2016, section 7): drops candidates far below the best.

A threshold of 0 prunes nothing.

Shapes: N rows, B sentences, C candidates of a sentence, F of them that may finish. Scores are natural logarithms.
"""

from torch import Tensor

NEG_INF = float("-inf")  # log-probability of impossible tokens and of pruned hypotheses


def prune_tokens(log_probs: Tensor, best: Tensor, threshold: float) -> Tensor:
    """Prunes tokens: log_probs of the next token of a row, -inf if more than `threshold` below the row's `best`.

    The shape of `best` broadcasts.

    The best token of every row stays, so this alone never ends a hypothesis.
    """
    return _keep_within(log_probs, best, threshold)


def prune_finished(scores: Tensor, best: Tensor, threshold: float) -> Tensor:
    """Prunes final scores (B, F) far below the best final score (B,) of their sentence so far."""
    return _keep_within(scores, best[:, None], threshold)


def prune_running(log_probs: Tensor, length_penalty: Tensor, best: Tensor, threshold: float) -> Tensor:
    """Prunes log_probs (B, C) of running hypotheses far below the best final score (B,) of their sentence so far.

    They are compared as if they ended here with their source covered: log P / lp, with no coverage penalty, where
    length_penalty (B,) is lp at their length. Before any hypothesis has finished, the best is -inf and nothing is pruned.
    """
    if not threshold:
        return log_probs
    return log_probs.masked_fill(log_probs < (best * length_penalty - threshold * length_penalty)[:, None], NEG_INF)


def _keep_within(scores: Tensor, best: Tensor, threshold: float) -> Tensor:
    return scores.masked_fill(scores < best - threshold, NEG_INF) if threshold else scores
