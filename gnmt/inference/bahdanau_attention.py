"""Normalised additive attention for decoding: the fastest form, and a form with bitwise equal results in every batch.

Both are built from a NormalizedBahdanauAttention and have no gradients.

Shapes: B sentences, Q queries of a sentence (its hypotheses), N queries of all sentences, S source positions, H hidden
size.
"""

import torch
from torch import Tensor

from gnmt.inference.lstm import MakeLinear
from gnmt.network.activations import batch_invariant_sigmoid_, sigmoid_is_faster_in_decoding
from gnmt.network.attention import NormalizedBahdanauAttention, buffer_parts, softmax_over_source
from gnmt.quantization.fixed_point import order_free_sum

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
        self.key_projection = attention.key_projection
        self.project_query = make_linear(factor * attention.query_projection.weight, factor * attention.score_bias)
        self.direction = factor * attention.direction().detach()

    def project_keys(self, outputs: Tensor) -> Tensor:
        """Returns the projected keys (B, S, H).

        Args:
            outputs: encoder outputs (B, S, H).
        """
        return self.key_factor * self.key_projection(outputs)

    def weights(self, queries: Tensor, keys: Tensor, padding_mask: Tensor) -> Tensor:
        """Returns the weights (B, Q, S), which are zero at padding.

        Args:
            queries: projected queries (B, Q, H).
            keys: projected keys (B, S, H).
            padding_mask: (B, S), True at padding.
        """
        scores = queries.new_empty(*queries.shape[:2], keys.size(1))
        for part in buffer_parts(queries, keys):
            sums = queries[part][:, :, None] + keys[part][:, None]
            torch.matmul(self.activation_(sums), self.direction, out=scores[part])
        return softmax_over_source(scores, padding_mask).type_as(scores)


class BatchInvariantBahdanauAttention:
    """Attention of int8, and of bf16 on a CPU: a row does not depend on batch size, padding or number of threads.

    - Queries and keys are projected by Int8Linear or Bf16Linear, whose sums do not depend on the batch.
    - A score is a sum over the hidden units in a fixed order.
    - The softmax divides by an order-free sum, to which padding adds zeros.

    Args:
        attention: trained attention, whose weights are used.
        make_linear: builds a linear layer for decoding from a weight and a bias.
    """

    def __init__(self, attention: NormalizedBahdanauAttention, make_linear: MakeLinear):
        # tanh(x) = 2 sigmoid(2x) - 1. The projections contain the factor 2 of x. The constant -1 is left out: it shifts
        # all scores equally, which does not change the softmax.
        self.project_query = make_linear(2 * attention.query_projection.weight, 2 * attention.score_bias)
        self.project_keys = make_linear(2 * attention.key_projection.weight, None)
        self.direction = 2 * attention.direction().detach()

    def weights(self, queries: Tensor, keys: Tensor, padding_mask: Tensor) -> Tensor:
        """Returns the weights (B, Q, S), which are zero at padding.

        Args:
            queries: projected queries (B, Q, H).
            keys: projected keys (B, S, H).
            padding_mask: (B, S), True at padding.
        """
        scores = ordered_scores(queries, keys, self.direction)
        scores.masked_fill_(padding_mask[:, None], torch.finfo(scores.dtype).min)
        weights = scores.sub_(scores.amax(dim=-1, keepdim=True)).exp_()
        return weights.div_(order_free_sum(weights))


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
