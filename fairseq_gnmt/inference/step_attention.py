"""The attention for search: what is the same at every step is made once.

Shapes: B sentences, K queries of a sentence (its hypotheses), S source positions, H hidden size, C columns of values.
"""
from torch import Tensor, nn

from fairseq_gnmt.inference.packed_linear import inference_linear
from fairseq_gnmt.models.attention import (
    NormalizedBahdanauAttention,
    SourceMemory,
    additive_scores,
    softmax_over_source,
)
from fairseq_gnmt.models.encoder import EncoderOutput


class StepAttention:
    """Computes what NormalizedBahdanauAttention computes, from a copy of its weights."""

    def __init__(self, attention: NormalizedBahdanauAttention):
        self.make_memory = attention.remember
        self.query_projection = inference_linear(attention.query_projection.weight, attention.score_bias)
        self.direction = attention.direction().detach()

    def remember(self, encoded: EncoderOutput, context_product: nn.Module) -> SourceMemory:
        """The values of the memory are the context products of the encoder's outputs, (B, S, C)."""
        memory = self.make_memory(*encoded)
        return memory._replace(values=context_product(memory.values))

    def weights(self, query: Tensor, memory: SourceMemory) -> Tensor:
        """query (B, K, H) to weights (B, K, S), zero at padding."""
        scores = additive_scores(self.query_projection(query), memory.keys, self.direction)
        return softmax_over_source(scores, memory.padding_mask).type_as(scores)

    def context_weights(self, weights: Tensor) -> Tensor:
        """The weights (B, K, S) that `add_context` takes."""
        return weights

    def add_context(self, gates: Tensor, weights: Tensor, values: Tensor) -> None:
        """Adds the context, from weights (B, K, S) and values (B, S, C), to gates (B, K, C)."""
        gates.baddbmm_(weights, values)
