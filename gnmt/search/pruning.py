"""Pruning of a beam search (Wu et al. 2016, section 7): drops candidates more than a threshold below the best.

A threshold of 0 prunes nothing. Log-probabilities and scores are natural logarithms.

Shapes: B sentences, C candidates of a sentence.
"""

from torch import Tensor

NEG_INF = float("-inf")  # log-probability of impossible tokens and of pruned hypotheses


def keep_within(values: Tensor, best: Tensor, threshold: float) -> Tensor:
    """Returns values, with -inf for values more than `threshold` below the best.

    Prunes tokens below the best token of their row, which is kept, so that token pruning never ends a hypothesis. Also
    prunes finished hypotheses below the best final score of their sentence.

    Args:
        values: log-probabilities or final scores.
        best: the values to compare with; the shape broadcasts.
        threshold: maximum distance from the best; 0 prunes nothing.
    """
    return values.masked_fill(values < best - threshold, NEG_INF) if threshold else values


def prune_running(log_probs: Tensor, length_penalty: Tensor, best: Tensor, threshold: float) -> Tensor:
    """Returns log-probabilities, with -inf for hypotheses more than `threshold` below the best final score.

    Running hypotheses are compared by log P / lp at their current length. The final score with which they are compared
    includes its coverage penalty. Before any hypothesis of a sentence has finished, the best score is -inf and nothing
    is pruned.

    Args:
        log_probs: (B, C), of running hypotheses.
        length_penalty: (B,), lp at the current length.
        best: (B,), best final score of each sentence.
        threshold: maximum distance from the best; 0 prunes nothing.
    """
    if not threshold:
        return log_probs
    return log_probs.masked_fill(log_probs < (best * length_penalty - threshold * length_penalty)[:, None], NEG_INF)
