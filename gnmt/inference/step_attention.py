"""The attention for search: what is the same at every step is made once.

Shapes: B sentences, K queries of a sentence (its hypotheses), S source positions, H hidden size.
"""
from torch import Tensor

from gnmt.inference.packed_linear import inference_linear
from gnmt.network.attention import (
    NormalizedBahdanauAttention,
    SourceMemory,
    additive_scores,
    softmax_over_source,
)


class StepAttention:
    """Computes what NormalizedBahdanauAttention.weights computes, from a copy of its weights.

    Never in integers, the attention being a small part of the time.
    """

    def __init__(self, attention: NormalizedBahdanauAttention):
        self.precompute = attention.precompute
        self.query_projection = inference_linear(attention.query_projection.weight, attention.score_bias)
        self.direction = attention.direction().detach()

    def weights(self, query: Tensor, memory: SourceMemory) -> Tensor:
        """query (B, K, H) to weights (B, K, S), zero at padding."""
        scores = additive_scores(self.query_projection(query), memory.keys, self.direction)
        return softmax_over_source(scores, memory.padding_mask).type_as(scores)
