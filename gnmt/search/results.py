"""Results of a search.

Shapes: T target positions, S source positions.
"""

from typing import List, NamedTuple

from torch import Tensor


class Hypothesis(NamedTuple):
    """One translation of a sentence, in the CPU's memory."""

    tokens: Tensor  # (T,), including EOS
    score: Tensor  # scalar: log-probability / length penalty + coverage penalty
    log_probs: Tensor  # (T,), natural logarithms
    attention: Tensor  # (T, S), over the source tokens without padding


class SearchResult(NamedTuple):
    """Hypotheses of a sentence that has left the search."""

    sentence_id: int  # id with which the sentence joined
    hypotheses: List[Hypothesis]  # n-best, best first
