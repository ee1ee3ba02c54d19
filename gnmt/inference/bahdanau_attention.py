"""Normalised additive attention for decoding: a fast implementation, and one with bitwise equal results in every batch.

Both are built from a NormalizedBahdanauAttention and compute no gradients. The batch-invariant implementation always
uses the following formula; the fast one uses it where torch's tanh is slow:

    tanh(q + k) = 2 sigmoid(2q + 2k) - 1 = 2 / (1 + exp(-2q) exp(-2k)) - 1

The constant -1 shifts all scores of a query equally, which does not change the softmax, so it is left out. The factors
exp(-2q) and exp(-2k) are computed once per query and once per key. A score then needs no exponential function, only
products and divisions, whose results are exactly rounded at every position of a tensor.

Shapes: B sentences, Q queries of a sentence (its hypotheses), N queries of all sentences, S source positions, H hidden
size.
"""

import torch
from torch import Tensor

from gnmt.inference.lstm import MakeLinear
from gnmt.network.activations import sigmoid_is_faster_in_decoding
from gnmt.network.attention import NormalizedBahdanauAttention, buffer_parts, softmax_over_source
from gnmt.quantization.fixed_point import order_free_sum

MAX_PROJECTED = 20.0  # tanh(20) is 1 in float32; exp(80) is the largest product of two factors


class FastBahdanauAttention:
    """Attention in the precision of the network; the network's own layer projects the keys.

    Args:
        attention: trained attention, whose weights are used.
        make_linear: builds a linear layer for decoding from a weight and a bias.
    """

    def __init__(self, attention: NormalizedBahdanauAttention, make_linear: MakeLinear):
        self.by_factors = sigmoid_is_faster_in_decoding(attention.score_vector)
        scale = 2 if self.by_factors else 1
        self.key_projection = attention.key_projection
        self.query_projection = make_linear(attention.query_projection.weight, attention.score_bias)
        self.direction = scale * attention.direction().detach()

    def project_keys(self, outputs: Tensor) -> Tensor:
        """Returns the projected keys k (B, S, H), or exp(-2k).

        Args:
            outputs: encoder outputs (B, S, H).
        """
        keys = self.key_projection(outputs)
        return exponential_factors(keys) if self.by_factors else keys

    def project_query(self, query: Tensor) -> Tensor:
        """Returns the projected queries q (N, H), or exp(-2q).

        Args:
            query: (N, H).
        """
        queries = self.query_projection(query)
        return exponential_factors(queries) if self.by_factors else queries

    def weights(self, queries: Tensor, keys: Tensor, padding_mask: Tensor) -> Tensor:
        """Returns the weights (B, Q, S), which are zero at padding.

        Args:
            queries: projected queries (B, Q, H).
            keys: projected keys (B, S, H).
            padding_mask: (B, S), True at padding.
        """
        scores = queries.new_empty(*queries.shape[:2], keys.size(1))
        for part in buffer_parts(queries, keys):
            query, key = queries[part][:, :, None], keys[part][:, None]
            activations = (query * key).add_(1).reciprocal_() if self.by_factors else (query + key).tanh_()
            torch.matmul(activations, self.direction, out=scores[part])
        return softmax_over_source(scores, padding_mask).type_as(scores)


class BatchInvariantBahdanauAttention:
    """Attention of int8, and of bf16 on a CPU: a row does not depend on batch size, padding or number of threads.

    - Queries and keys are projected by Int8Linear or Bf16Linear, whose sums do not depend on the batch.
    - A score is a sum over the hidden units in an order that depends only on the hidden size.
    - The softmax divides by an order-free sum, to which padding adds zeros.

    Args:
        attention: trained attention, whose weights are used.
        make_linear: builds a linear layer for decoding from a weight and a bias.
    """

    def __init__(self, attention: NormalizedBahdanauAttention, make_linear: MakeLinear):
        self.query_projection = make_linear(attention.query_projection.weight, attention.score_bias)
        self.key_projection = make_linear(attention.key_projection.weight, None)
        self.direction = 2 * attention.direction().detach()

    def project_keys(self, outputs: Tensor) -> Tensor:
        """Returns exp(-2k) of the projected keys k, (B, S, H).

        Args:
            outputs: encoder outputs (B, S, H).
        """
        return exponential_factors(self.key_projection(outputs))

    def project_query(self, query: Tensor) -> Tensor:
        """Returns exp(-2q) of the projected queries q, (N, H).

        Args:
            query: (N, H).
        """
        return exponential_factors(self.query_projection(query))

    def weights(self, queries: Tensor, keys: Tensor, padding_mask: Tensor) -> Tensor:
        """Returns the weights (B, Q, S), which are zero at padding.

        Args:
            queries: projected queries (B, Q, H).
            keys: projected keys (B, S, H).
            padding_mask: (B, S), True at padding.
        """
        scores = row_invariant_scores(queries, keys, self.direction)
        scores.masked_fill_(padding_mask[:, None], torch.finfo(scores.dtype).min)
        weights = scores.sub_(scores.amax(dim=-1, keepdim=True)).exp_()
        return weights.div_(order_free_sum(weights))


def exponential_factors(projected: Tensor) -> Tensor:
    """Returns exp(-2x) of projected queries or keys; overwrites them.

    Values are clamped to +-MAX_PROJECTED, so that no product of two factors overflows. This changes tanh(q + k) only if q
    or k is beyond the limit and the other has the opposite sign and a similar magnitude.

    Args:
        projected: (..., H).
    """
    return projected.clamp_(-MAX_PROJECTED, MAX_PROJECTED).mul_(-2).exp_()


def row_invariant_scores(queries: Tensor, keys: Tensor, direction: Tensor) -> Tensor:
    """Returns the sums over h of direction[h] / (1 + queries[b, q, h] keys[b, s, h]), (B, Q, S).

    The order of a sum depends only on H: torch sums each row of contiguous columns by itself.

    Args:
        queries: (B, Q, H), exponential factors.
        keys: (B, S, H), exponential factors.
        direction: (H,).
    """
    scores = queries.new_empty(*queries.shape[:2], keys.size(1))
    parts = buffer_parts(queries, keys)
    buffer = queries.new_empty(len(queries[parts[0]]), *scores.shape[1:], queries.size(2))
    for part in parts:
        query, key = queries[part][:, :, None], keys[part][:, None]
        terms = torch.mul(query, key, out=buffer[: len(query)]).add_(1)
        torch.sum(torch.div(direction, terms, out=terms), dim=-1, out=scores[part])
    return scores
