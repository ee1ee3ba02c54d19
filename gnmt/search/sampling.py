"""Translations drawn from the model, token by token.

Shapes: B sentences, K samples of each, T tokens of the longest, N = b x k rows that are still computed, V vocabulary.
"""
from typing import NamedTuple, Tuple

import torch
from torch import Tensor

from gnmt.search.beam_search import LEAVING_SHARE


class Samples(NamedTuple):
    tokens: Tensor  # (B, K, T), with the end mark, unless the limit came first; then padding
    log_probs: Tensor  # (B, K, T) of each token, 0 at padding


@torch.no_grad()
def draw_samples(
    model, src_tokens: Tensor, src_lengths: Tensor, start: Tensor, noise: Tensor, limits: Tensor, pad: int, eos: int
) -> Samples:
    """As many samples of each sentence as the noise has room for; pad is never drawn.

    model has start(src_tokens, src_lengths) and step(tokens, state), as search.ensemble.Ensemble. start (B,): the
    mark that decoding starts from. limits (B,): most tokens, the end mark among them. noise (B, K, T), T at least the
    largest limit: uniform in [0, 1). A sample depends on its source and its noise, whatever else is in the batch.
    """
    sentences, per_sentence, longest = noise.shape
    noise = noise.view(-1, longest)
    tokens = torch.full(noise.shape, pad, device=noise.device)
    log_probs = torch.zeros(noise.shape, device=noise.device)
    samples = torch.arange(len(noise), device=noise.device).view(sentences, per_sentence)  # (b, k) of the rows
    running = torch.ones_like(samples, dtype=torch.bool)  # (b, k); the others are there to make up the rectangle
    last = start[:, None].expand_as(samples)
    state = model.start(src_tokens, src_lengths).reorder((samples // per_sentence).flatten())

    for position in range(longest):
        probabilities, _, state = model.step(last.flatten(), state)
        probabilities[:, pad] = 0
        drawn, drawn_log_probs = draw(probabilities, noise[samples.flatten(), position])
        last = drawn.view_as(samples)
        tokens[samples[running], position] = last[running]
        log_probs[samples[running], position] = drawn_log_probs.view_as(samples)[running]

        running = running & (last != eos) & (position + 1 < limits[samples // per_sentence])
        if not running.any():
            break
        staying, places = _smallest_rectangle(running)
        if places.numel() <= (1 - LEAVING_SHARE) * running.numel():
            rows = staying[:, None] * running.size(1) + places
            state = state.select_sentences(staying).reorder(rows.flatten())
            samples, running, last = (part.flatten()[rows] for part in (samples, running, last))
    shape = (sentences, per_sentence, longest)
    return Samples(*(part.view(shape)[:, :, : position + 1] for part in (tokens, log_probs)))


def draw(probabilities: Tensor, noise: Tensor) -> Tuple[Tensor, Tensor]:
    """The token of each row where the cumulative probability passes the noise (N,), and its log-probability.

    probabilities (N, V) need not add up to 1. One pass over a row's sum; torch.multinomial draws V random numbers for each.
    """
    cumulative = probabilities.cumsum(dim=1)
    total = cumulative[:, -1:]
    # The last token, should the scores not be numbers: the loss will tell.
    drawn = torch.searchsorted(cumulative, noise[:, None] * total, right=True).clamp_(max=probabilities.size(1) - 1)
    return drawn[:, 0], (probabilities.gather(1, drawn) / total).log()[:, 0]


def uniform_noise(shape: Tuple[int, ...], device: torch.device, process: int) -> Tensor:
    """Uniform numbers in [0, 1), reproducible from torch's random state.

    Each process (numbered from 0) of a training gets other numbers from the same random state.
    """
    seed = int(torch.randint(2**62, ())) + process
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)).to(device)


def _smallest_rectangle(running: Tensor) -> Tuple[Tensor, Tensor]:
    """The sentences (b',) that still run, and as many places (b', k') of each as the one with most needs."""
    staying = running.any(dim=1).nonzero()[:, 0]
    most = int(running.sum(dim=1).max())
    return staying, running[staying].long().argsort(dim=1, descending=True, stable=True)[:, :most]
