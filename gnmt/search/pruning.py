"""Pruned beam search (Wu et al. 2016, section 7): what is far behind the best is given up. A threshold of 0 prunes nothing.

Shapes: N rows, B sentences, C candidates of a sentence, F of them that may finish. Scores are natural logarithms.
"""
from torch import Tensor

NEG_INF = float("-inf")  # the log-probability of what cannot be


def prune_tokens(log_probs: Tensor, best: Tensor, threshold: float) -> Tensor:
    """log_probs of tokens after a row; -inf where more than `threshold` below the row's best, whose shape broadcasts.

    The best token of every row stays, so this alone never ends a hypothesis.
    """
    return _keep_within(log_probs, best, threshold)


def prune_finished(scores: Tensor, best: Tensor, threshold: float) -> Tensor:
    """Final scores (B, F) against the best final score (B,) of their sentence so far."""
    return _keep_within(scores, best[:, None], threshold)


def prune_running(log_probs: Tensor, length_penalty: float, best: Tensor, threshold: float) -> Tensor:
    """log_probs (B, C) of hypotheses that go on, against the best final score (B,) of their sentence so far.

    They are compared as if they ended here with their source covered: log P / lp, with no coverage penalty. Before a
    hypothesis has finished the best is -inf, and nothing is pruned.
    """
    return _keep_within(log_probs, (best * length_penalty)[:, None], threshold * length_penalty)


def _keep_within(scores: Tensor, best: Tensor, threshold: float) -> Tensor:
    return scores.masked_fill(scores < best - threshold, NEG_INF) if threshold else scores
