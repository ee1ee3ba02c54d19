"""The attention of int8 decoding. The result for a row is the same, bit for bit, in every batch.

Shapes: B sentences, K queries of a sentence (its hypotheses), S source positions, H hidden size, C columns of values.
"""

import torch
from torch import Tensor

from gnmt.inference.recurrence import MakeLinear
from gnmt.network.activations import reproducible_sigmoid_
from gnmt.network.attention import NormalizedBahdanauAttention, SourceMemory, buffer_parts
from gnmt.network.encoder import EncoderOutput
from gnmt.quantization.fixed_point import order_free_sum, round_values, round_weights

PARTIAL_SUMS = 32  # per score; the buffer is reduced to so many columns while it is in the cache


class ReproducibleAttention:
    """Computes what FrozenBahdanauAttention computes, independently of batch size, padding and number of threads.

    - Queries and keys are projected by integer products, which are exact.
    - A score is a sum over the hidden units in a fixed order.
    - The softmax divides by an order-free sum, to which padding adds zeros.
    - A context is a sum of rounded values with rounded weights, which float32 holds exactly.
    """

    def __init__(self, attention: NormalizedBahdanauAttention, make_linear: MakeLinear):
        # tanh(x) = 2 sigmoid(2x) - 1. The projections have the factor 2 of x. The constant -1 adds the same number to all
        # scores of a softmax, which does not change it.
        self.query_projection = make_linear(2 * attention.query_projection.weight, 2 * attention.score_bias)
        self.key_projection = make_linear(2 * attention.key_projection.weight, None)
        self.direction = 2 * attention.direction().detach()

    def precompute(self, encoded: EncoderOutput, context_product: torch.nn.Module) -> SourceMemory:
        """Computes keys for the sigmoid, (B, S, H), and rounded values, (B, S, C), which are zero at padding."""
        outputs = encoded.outputs.masked_fill(encoded.padding_mask[:, :, None], 0)
        return SourceMemory(self.key_projection(outputs), round_values(context_product(outputs)), encoded.padding_mask)

    def weights(self, query: Tensor, memory: SourceMemory) -> Tensor:
        """Returns the weights (B, K, S), zero at padding, of query (B, K, H)."""
        scores = ordered_scores(self.query_projection(query), memory.keys, self.direction)
        scores.masked_fill_(memory.padding_mask[:, None], torch.finfo(scores.dtype).min)
        weights = scores.sub_(scores.amax(dim=-1, keepdim=True)).exp_()
        return weights.div_(order_free_sum(weights))

    def context_weights(self, weights: Tensor) -> Tensor:
        """Returns the weights (B, K, S) that `add_context` takes."""
        return round_weights(weights)

    def add_context(self, pre_activations: Tensor, weights: Tensor, values: Tensor) -> None:
        """Adds the context, from rounded weights (B, K, S) and values (B, S, C), to pre_activations (B, K, C)."""
        pre_activations.add_(torch.bmm(weights, values))


def ordered_scores(query: Tensor, keys: Tensor, direction: Tensor) -> Tensor:
    """Returns direction . sigmoid(query[b, k] + keys[b, s]), (B, K, S), summed in an order that H determines."""
    sums = []
    for part in buffer_parts(query, keys):
        terms = reproducible_sigmoid_(query[part][:, :, None] + keys[part][:, None]).mul_(direction)
        sums.append(sum_by_halves(terms, PARTIAL_SUMS).contiguous())
    return sum_by_halves(torch.cat(sums), 1)[..., 0]


def sum_by_halves(terms: Tensor, columns: int) -> Tensor:
    """Sums over the last dimension of terms, which are overwritten, until at most `columns` partial sums are left.

    Every step adds the last half of the columns to the first ones, elementwise.
    """
    size = terms.size(-1)
    while size > columns:
        half = size // 2
        terms[..., :half].add_(terms[..., size - half : size])
        size -= half
    return terms[..., :size]
