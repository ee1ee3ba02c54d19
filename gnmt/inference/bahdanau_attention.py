"""Normalised additive attention for decoding: the fastest form, and a form with bitwise equal results in every batch.

Both are built from a NormalizedBahdanauAttention and have no gradients.

Shapes: B sentences, Q queries of a sentence (its hypotheses), S source positions, H hidden size, O output size of the
context product.
"""

import torch
from torch import Tensor, nn

from gnmt.inference.lstm import MakeLinear
from gnmt.network.activations import batch_invariant_sigmoid_, sigmoid_is_faster_in_decoding
from gnmt.network.attention import NormalizedBahdanauAttention, SourceMemory, buffer_parts, softmax_over_source
from gnmt.network.encoder import EncoderOutput
from gnmt.quantization.fixed_point import order_free_sum, round_values, round_weights

PARTIAL_SUMS = 32  # per score; the buffer is reduced to this number of columns while it is in the cache


class FastBahdanauAttention:
    """Attention in the precision of the network, which also projects the keys.

    Args:
        attention: trained attention, whose weights are used.
        make_linear: builds a linear layer for decoding from a weight and a bias.
    """

    def __init__(self, attention: NormalizedBahdanauAttention, make_linear: MakeLinear):
        # For tanh(x) = 2 sigmoid(2x) - 1, projections and direction contain the factors of 2. The constant -1 is left out:
        # it shifts all scores equally, which does not change the softmax.
        by_sigmoid = sigmoid_is_faster_in_decoding(attention.score_vector)
        factor = 2 if by_sigmoid else 1
        self.activation_ = torch.sigmoid_ if by_sigmoid else torch.tanh_
        self.key_factor = factor
        self.project_keys = attention.precompute
        self.project_query = make_linear(factor * attention.query_projection.weight, factor * attention.score_bias)
        self.direction = factor * attention.direction().detach()

    def precompute(self, encoded: EncoderOutput, context_product: nn.Module) -> SourceMemory:
        """Returns the source memory: projected keys (B, S, H), and context products (B, S, O) as values.

        Args:
            encoded: encoder outputs of the B sentences.
            context_product: linear layer applied to the encoder outputs.
        """
        memory = self.project_keys(*encoded)
        return memory._replace(keys=self.key_factor * memory.keys, values=context_product(memory.values))

    def weights(self, queries: Tensor, memory: SourceMemory) -> Tensor:
        """Returns the weights (B, Q, S), which are zero at padding.

        Args:
            queries: projected queries (B, Q, H).
            memory: source memory from `precompute`.
        """
        keys = memory.keys
        scores = queries.new_empty(*queries.shape[:2], keys.size(1))
        for part in buffer_parts(queries, keys):
            sums = queries[part][:, :, None] + keys[part][:, None]
            torch.matmul(self.activation_(sums), self.direction, out=scores[part])
        return softmax_over_source(scores, memory.padding_mask).type_as(scores)

    def context_weights(self, weights: Tensor) -> Tensor:
        """Returns the weights (B, Q, S) in the form that `add_context` expects."""
        return weights

    def add_context(self, pre_activations: Tensor, weights: Tensor, values: Tensor) -> None:
        """Adds the context to the pre-activations, in place.

        Args:
            pre_activations: (B, Q, O).
            weights: attention weights (B, Q, S).
            values: context products (B, S, O).
        """
        pre_activations.baddbmm_(weights, values)


class BatchInvariantBahdanauAttention:
    """Attention of int8, and of bf16 on a CPU: a row does not depend on batch size, padding or number of threads.

    - Queries and keys are projected by Int8Linear or Bf16Linear, whose sums do not depend on the batch.
    - A score is a sum over the hidden units in a fixed order.
    - The softmax divides by an order-free sum, to which padding adds zeros.
    - A context is a sum of rounded values with rounded weights, which is exact in float32.

    Args:
        attention: trained attention, whose weights are used.
        make_linear: builds a linear layer for decoding from a weight and a bias.
    """

    def __init__(self, attention: NormalizedBahdanauAttention, make_linear: MakeLinear):
        # tanh(x) = 2 sigmoid(2x) - 1. The projections contain the factor 2 of x. The constant -1 is left out: it shifts
        # all scores equally, which does not change the softmax.
        self.project_query = make_linear(2 * attention.query_projection.weight, 2 * attention.score_bias)
        self.key_projection = make_linear(2 * attention.key_projection.weight, None)
        self.direction = 2 * attention.direction().detach()

    def precompute(self, encoded: EncoderOutput, context_product: nn.Module) -> SourceMemory:
        """Returns the source memory: keys (B, S, H), and rounded context products (B, S, O), zero at padding.

        Args:
            encoded: encoder outputs of the B sentences.
            context_product: linear layer applied to the encoder outputs.
        """
        outputs = encoded.outputs.masked_fill(encoded.padding_mask[:, :, None], 0)
        return SourceMemory(self.key_projection(outputs), round_values(context_product(outputs)), encoded.padding_mask)

    def weights(self, queries: Tensor, memory: SourceMemory) -> Tensor:
        """Returns the weights (B, Q, S), which are zero at padding.

        Args:
            queries: projected queries (B, Q, H).
            memory: source memory from `precompute`.
        """
        scores = ordered_scores(queries, memory.keys, self.direction)
        scores.masked_fill_(memory.padding_mask[:, None], torch.finfo(scores.dtype).min)
        weights = scores.sub_(scores.amax(dim=-1, keepdim=True)).exp_()
        return weights.div_(order_free_sum(weights))

    def context_weights(self, weights: Tensor) -> Tensor:
        """Returns the weights (B, Q, S) in the form that `add_context` expects."""
        return round_weights(weights)

    def add_context(self, pre_activations: Tensor, weights: Tensor, values: Tensor) -> None:
        """Adds the context to the pre-activations, in place.

        Args:
            pre_activations: (B, Q, O).
            weights: rounded attention weights (B, Q, S).
            values: rounded context products (B, S, O).
        """
        pre_activations.add_(torch.bmm(weights, values))


def ordered_scores(query: Tensor, keys: Tensor, direction: Tensor) -> Tensor:
    """Returns direction . sigmoid(query[b, q] + keys[b, s]), (B, Q, S), summed in an order that depends only on H.

    Args:
        query: (B, Q, H).
        keys: (B, S, H).
        direction: (H,).
    """
    sums = []
    for part in buffer_parts(query, keys):
        terms = batch_invariant_sigmoid_(query[part][:, :, None] + keys[part][:, None]).mul_(direction)
        sums.append(sum_by_halves(terms, PARTIAL_SUMS).contiguous())
    return sum_by_halves(torch.cat(sums), 1)[..., 0]


def sum_by_halves(terms: Tensor, columns: int) -> Tensor:
    """Sums over the last dimension until at most `columns` partial sums are left.

    Each step adds the second half of the columns to the first half, elementwise.

    Args:
        terms: (..., H), overwritten.
        columns: maximum number of partial sums.
    """
    size = terms.size(-1)
    while size > columns:
        half = size // 2
        terms[..., :half].add_(terms[..., size - half : size])
        size -= half
    return terms[..., :size]
