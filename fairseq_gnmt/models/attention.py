"""Normalised additive attention (Bahdanau et al. 2015; Salimans and Kingma 2016 for the normalisation).

Shapes: B sentences, T queries of a sentence (target positions in training, hypotheses in search),
S source positions, H hidden size.
"""
from typing import NamedTuple, Tuple

import torch
from torch import Tensor, nn

from fairseq_gnmt.models.activations import sigmoid_is_faster

# Elements of the (T, S, H) buffer that the scores are summed from: it must stay in the second-level cache
# on a CPU, and be large enough to fill a GPU.
CPU_BUFFER_ELEMENTS = 1 << 18
GPU_BUFFER_ELEMENTS = 1 << 26


class SourceMemory(NamedTuple):
    """What the decoder keeps of a batch of source sentences; made once, never copied per hypothesis."""

    keys: Tensor  # (B, S, H), projected for attention
    values: Tensor  # (B, S, H), the encoder's outputs
    padding_mask: Tensor  # (B, S), True at padding

    def select(self, sentences: Tensor) -> "SourceMemory":
        """Sentence i of the result is sentence `sentences[i]` of this memory."""
        return SourceMemory(*(part.index_select(0, sentences) for part in self))


class NormalizedBahdanauAttention(nn.Module):
    """score = g * v/|v| . tanh(Wq q + Wk k + b); weights are its softmax over the real source positions."""

    def __init__(self, hidden_size: int):
        super().__init__()
        self.query_projection = nn.Linear(hidden_size, hidden_size, bias=False)
        self.key_projection = nn.Linear(hidden_size, hidden_size, bias=False)
        self.score_vector = nn.Parameter(torch.empty(hidden_size))
        self.score_scale = nn.Parameter(torch.full((1,), hidden_size**-0.5))
        self.score_bias = nn.Parameter(torch.zeros(hidden_size))

    def remember(self, encoder_outputs: Tensor, padding_mask: Tensor) -> SourceMemory:
        return SourceMemory(self.key_projection(encoder_outputs), encoder_outputs, padding_mask)

    def forward(self, query: Tensor, memory: SourceMemory) -> Tuple[Tensor, Tensor]:
        """query (B, T, H); returns context (B, T, H) and weights (B, T, S), zero at padding."""
        weights = self.weights(query, memory)
        return torch.bmm(weights, memory.values), weights

    def weights(self, query: Tensor, memory: SourceMemory) -> Tensor:
        """(B, T, H) to (B, T, S), zero at padding."""
        queries = self.query_projection(query) + self.score_bias
        scores = _AdditiveScores.apply(queries, memory.keys, self.direction())
        return softmax_over_source(scores, memory.padding_mask).type_as(memory.values)

    def direction(self) -> Tensor:
        """g * v/|v|, (H,)"""
        return self.score_scale * self.score_vector / self.score_vector.norm()


def softmax_over_source(scores: Tensor, padding_mask: Tensor) -> Tensor:
    """scores (B, T, S) to weights, zero where padding_mask (B, S) is True; float32 or more precise.

    Half precision cannot tell close scores apart.
    """
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    return scores.masked_fill(padding_mask[:, None], torch.finfo(torch.float32).min).softmax(dim=-1)


class _AdditiveScores(torch.autograd.Function):
    """scores[b, t, s] = direction . tanh(query[b, t] + keys[b, s]).

    The (B, T, S, H) tensor of tanh values is never kept: it is made sentence by sentence in a small buffer,
    and made again for the gradient.
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
            g = gradient[part]  # (b, T, S)
            tanh = _tanh_sums(query[part], keys[part])  # (b, T, S, H)
            # Half precision adds up one sentence at a time; the sentences are added in float32.
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
    """direction . tanh(query[b, t] + keys[b, s]), (B, T, S), without a gradient."""
    scores = query.new_empty(query.size(0), query.size(1), keys.size(1))
    for part in buffer_parts(query, keys):
        _score(query[part], keys[part], direction, out=scores[part])
    return scores


def _score(query: Tensor, keys: Tensor, direction: Tensor, out: Tensor) -> None:
    """Writes direction . tanh(query[b, t] + keys[b, s]) to out (b, T, S)."""
    if sigmoid_is_faster(query):  # as in activations.tanh, with what follows the sigmoid left for the sums
        torch.matmul(_doubled_sums(query, keys).sigmoid_(), 2 * direction, out=out).sub_(direction.sum())
    else:
        torch.matmul(_tanh_sums(query, keys), direction, out=out)


def _tanh_sums(query: Tensor, keys: Tensor) -> Tensor:
    """tanh(query[b, t] + keys[b, s]), (b, T, S, H)."""
    if sigmoid_is_faster(query):
        return _doubled_sums(query, keys).sigmoid_().mul_(2).sub_(1)
    return (query[:, :, None] + keys[:, None]).tanh_()


def _doubled_sums(query: Tensor, keys: Tensor) -> Tensor:
    """2 (query[b, t] + keys[b, s]), the small factors doubled before their sum."""
    return (2 * query)[:, :, None] + (2 * keys)[:, None]


def buffer_parts(query: Tensor, keys: Tensor):
    """Slices of sentences whose (b, T, S, H) tensor fits the buffer; at least one sentence each."""
    elements = GPU_BUFFER_ELEMENTS if query.is_cuda else CPU_BUFFER_ELEMENTS
    sentences = max(1, elements // (query.size(1) * keys.size(1) * keys.size(2)))
    return [slice(start, start + sentences) for start in range(0, query.size(0), sentences)]
