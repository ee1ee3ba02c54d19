"""Pruning of a beam search (Wu et al. 2016, section 7): drops candidates far below the best.

A threshold of 0 prunes nothing.

Shapes: N rows, B sentences, C candidates of a sentence, V vocabulary size. Scores are natural logarithms.
"""

from torch import Tensor

NEG_INF = float("-inf")  # log-probability of impossible tokens and of pruned hypotheses


def prune_tokens(log_probs: Tensor, best: Tensor, threshold: float) -> Tensor:
    """Returns log-probabilities with -inf for tokens more than `threshold` below the best token of their row.

    The best token of every row is kept, so token pruning never ends a hypothesis.

    Args:
        log_probs: (N, V), of the next token.
        best: largest log-probability of each row; its shape broadcasts.
        threshold: maximum distance from the best; 0 prunes nothing.
    """
    return _keep_within(log_probs, best, threshold)


def prune_finished(scores: Tensor, best: Tensor, threshold: float) -> Tensor:
    """Returns final scores, with -inf for scores far below the best final score of their sentence.

    Args:
        scores: (B, C), final scores of the candidates that may finish.
        best: (B,), best final score of each sentence.
        threshold: maximum distance from the best; 0 prunes nothing.
    """
    return _keep_within(scores, best[:, None], threshold)


def prune_running(log_probs: Tensor, length_penalty: Tensor, best: Tensor, threshold: float) -> Tensor:
    """Returns log-probabilities with -inf for hypotheses far below the best final score of their sentence.

    Hypotheses are compared by log P / lp at their current length, without a coverage penalty. Before any hypothesis of
    a sentence has finished, the best score is -inf and nothing is pruned.

    Args:
        log_probs: (B, C), of running hypotheses.
        length_penalty: (B,), lp at the current length.
        best: (B,), best final score of each sentence.
        threshold: maximum distance from the best; 0 prunes nothing.
    """
    if not threshold:
        return log_probs
    return log_probs.masked_fill(log_probs < (best * length_penalty - threshold * length_penalty)[:, None], NEG_INF)


def _keep_within(scores: Tensor, best: Tensor, threshold: float) -> Tensor:
    """Returns scores, with -inf for scores more than `threshold` below the best."""
    return scores.masked_fill(scores < best - threshold, NEG_INF) if threshold else scores
