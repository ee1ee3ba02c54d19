"""Normalised additive attention (Bahdanau et al. 2015; Salimans and Kingma 2016 for the normalisation).

An attention is a module with two methods: `precompute` for the source, and `forward` for queries. Faster
implementations for decoding are registered in gnmt.inference.attention.

Shapes: B sentences, Q queries of a sentence (target positions in training, hypotheses in search),
S source positions, H hidden size, O output size of a product.
"""

from typing import List, NamedTuple, Tuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gnmt.network.activations import sigmoid_is_faster

# Maximum number of elements of the (b, Q, S, H) buffer: small enough for the second-level cache of a CPU, large
# enough to keep a GPU busy.
CPU_BUFFER_ELEMENTS = 1 << 18
GPU_BUFFER_ELEMENTS = 1 << 26


class SourceMemory(NamedTuple):
    """Source sentences of a batch, encoded and projected; computed once, never copied per hypothesis."""

    keys: Tensor  # (B, S, H), projected for attention
    values: Tensor  # (B, S, H), encoder outputs; in the fast decoder also (B, S, O), their products (inference.context)
    padding_mask: Tensor  # (B, S), True at padding

    def select(self, sentences: Tensor) -> "SourceMemory":
        """Returns the memory of the given sentences; columns that contain only padding are removed.

        Args:
            sentences: indices into this memory, one per sentence of the result.
        """
        width = longest_source(self.padding_mask.index_select(0, sentences))
        return SourceMemory(*(part[:, :width].index_select(0, sentences) for part in self))

    def join(self, others: "SourceMemory") -> "SourceMemory":
        """Returns these sentences followed by others; the shorter sources are padded on the right."""
        width = max(self.keys.size(1), others.keys.size(1))
        return SourceMemory(*map(torch.cat, zip(self._widened(width), others._widened(width))))

    def _widened(self, width: int) -> "SourceMemory":
        missing = width - self.keys.size(1)
        if not missing:
            return self
        keys, values = (F.pad(part, (0, 0, 0, missing)) for part in (self.keys, self.values))
        return SourceMemory(keys, values, F.pad(self.padding_mask, (0, missing), value=True))


def longest_source(padding_mask: Tensor) -> int:
    """Returns the length of the longest source, at least 1.

    Args:
        padding_mask: (B, S), True at padding.
    """
    columns = (~padding_mask).any(dim=0).nonzero()
    return int(columns[-1]) + 1 if len(columns) else 1


class NormalizedBahdanauAttention(nn.Module):
    """Attention with score = g * v/|v| . tanh(Wq q + Wk k + b), and softmax over real source positions."""

    def __init__(self, hidden_size: int):
        super().__init__()
        self.query_projection = nn.Linear(hidden_size, hidden_size, bias=False)
        self.key_projection = nn.Linear(hidden_size, hidden_size, bias=False)
        self.score_vector = nn.Parameter(torch.empty(hidden_size))
        self.score_scale = nn.Parameter(torch.full((1,), hidden_size**-0.5))
        self.score_bias = nn.Parameter(torch.zeros(hidden_size))

    def precompute(self, encoder_outputs: Tensor, padding_mask: Tensor) -> SourceMemory:
        """Returns the source memory: projects the keys once for all queries.

        Args:
            encoder_outputs: (B, S, H).
            padding_mask: (B, S), True at padding.
        """
        return SourceMemory(self.key_projection(encoder_outputs), encoder_outputs, padding_mask)

    def forward(self, query: Tensor, memory: SourceMemory) -> Tuple[Tensor, Tensor]:
        """Returns the context (B, Q, H) and the weights (B, Q, S), which are zero at padding.

        Args:
            query: (B, Q, H).
            memory: encoded source sentences.
        """
        weights = self.weights(query, memory)
        return torch.bmm(weights, memory.values), weights

    def weights(self, query: Tensor, memory: SourceMemory) -> Tensor:
        """Returns the weights (B, Q, S), which are zero at padding.

        Args:
            query: (B, Q, H).
            memory: encoded source sentences.
        """
        queries = self.query_projection(query) + self.score_bias
        scores = _AdditiveScores.apply(queries, memory.keys.type_as(queries), self.direction())
        return softmax_over_source(scores, memory.padding_mask).type_as(memory.values)

    def direction(self) -> Tensor:
        """Returns the normalised score vector g * v/|v|, (H,)."""
        return self.score_scale * self.score_vector / self.score_vector.norm()


def softmax_over_source(scores: Tensor, padding_mask: Tensor) -> Tensor:
    """Returns the softmax of scores (B, Q, S) in float32 or more precise, zero where padding_mask (B, S) is True.

    Half precision cannot represent the difference of close scores.
    """
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    return scores.masked_fill(padding_mask[:, None], torch.finfo(torch.float32).min).softmax(dim=-1)


class _AdditiveScores(torch.autograd.Function):
    """Computes scores[b, q, s] = direction . tanh(query[b, q] + keys[b, s]).

    The (B, Q, S, H) tensor of tanh values is never stored. It is computed sentence by sentence in a small buffer, and
    recomputed in the backward pass.
    """

    @staticmethod
    @torch.amp.custom_fwd(device_type="cuda")
    def forward(ctx, query: Tensor, keys: Tensor, direction: Tensor) -> Tensor:
        ctx.save_for_backward(query, keys, direction)
        return additive_scores(query, keys, direction.type_as(query))

    @staticmethod
    @torch.amp.custom_bwd(device_type="cuda")
    def backward(ctx, gradient: Tensor):
        query, keys, direction = ctx.saved_tensors
        query_gradient, keys_gradient = torch.empty_like(query), torch.empty_like(keys)
        direction_gradient = torch.zeros_like(direction, dtype=torch.promote_types(direction.dtype, torch.float32))
        for part in buffer_parts(query, keys):
            g = gradient[part]  # (b, Q, S)
            tanh = _tanh_sums(query[part], keys[part])  # (b, Q, S, H)
            # In half precision each sentence is summed separately; sentences are added in float32.
            by_sentence = g.flatten(1)[:, None].bmm(tanh.flatten(1, 2))  # (b, 1, H)
            direction_gradient += by_sentence.sum(dim=(0, 1), dtype=direction_gradient.dtype)
            # d tanh(x) = 1 - tanh(x)^2, so each gradient is direction * (sum of g - sum of g * tanh^2).
            square = tanh.mul_(tanh)
            over_source = torch.matmul(g[:, :, None], square)[:, :, 0]
            over_queries = torch.matmul(g.transpose(1, 2)[:, :, None], square.transpose(1, 2))[:, :, 0]
            torch.sub(g.sum(2)[..., None], over_source, out=query_gradient[part])
            torch.sub(g.sum(1)[..., None], over_queries, out=keys_gradient[part])
        direction_in = direction.type_as(query)
        return (
            query_gradient.mul_(direction_in),
            keys_gradient.mul_(direction_in),
            direction_gradient.type_as(direction),
        )


def additive_scores(query: Tensor, keys: Tensor, direction: Tensor) -> Tensor:
    """Returns direction . tanh(query[b, q] + keys[b, s]), (B, Q, S), without a gradient.

    Args:
        query: (B, Q, H).
        keys: (B, S, H).
        direction: (H,).
    """
    scores = query.new_empty(query.size(0), query.size(1), keys.size(1))
    for part in buffer_parts(query, keys):
        _score(query[part], keys[part], direction, out=scores[part])
    return scores


def _score(query: Tensor, keys: Tensor, direction: Tensor, out: Tensor) -> None:
    """Writes direction . tanh(query[b, q] + keys[b, s]) to out (b, Q, S)."""
    if sigmoid_is_faster(query):  # as in activations.tanh, with the factor and the offset applied to the sums
        torch.matmul(_doubled_sums(query, keys).sigmoid_(), 2 * direction, out=out).sub_(direction.sum())
    else:
        torch.matmul(_tanh_sums(query, keys), direction, out=out)


def _tanh_sums(query: Tensor, keys: Tensor) -> Tensor:
    """Returns tanh(query[b, q] + keys[b, s]), (b, Q, S, H)."""
    if sigmoid_is_faster(query):
        return _doubled_sums(query, keys).sigmoid_().mul_(2).sub_(1)
    return (query[:, :, None] + keys[:, None]).tanh_()


def _doubled_sums(query: Tensor, keys: Tensor) -> Tensor:
    """Returns 2 (query[b, q] + keys[b, s]); query and keys are doubled before the sum because they are smaller."""
    return (2 * query)[:, :, None] + (2 * keys)[:, None]


def buffer_parts(query: Tensor, keys: Tensor) -> List[slice]:
    """Returns slices of the sentences of a batch; the sentences of a slice are processed together.

    The (b, Q, S, H) tensor of a slice of b sentences fits into the buffer, unless the slice is one sentence.

    Args:
        query: (B, Q, H).
        keys: (B, S, H).
    """
    elements = GPU_BUFFER_ELEMENTS if query.is_cuda else CPU_BUFFER_ELEMENTS
    sentences = max(1, elements // (query.size(1) * keys.size(1) * keys.size(2)))
    return [slice(start, start + sentences) for start in range(0, query.size(0), sentences)]
