"""Random translations, sampled from the model token by token.

Shapes: B sentences, K samples of each, T tokens of the longest sample, V vocabulary size. The batch shrinks during
sampling: N = b x k rows belong to the b running sentences and their k slots.
"""

from typing import Callable, NamedTuple, Optional, Tuple

import torch
from torch import Tensor

from gnmt.search.step_model import LEAVING_SHARE, StepModel


class Samples(NamedTuple):
    """Sampled translations: B sentences, K samples of each, T positions."""

    tokens: Tensor  # (B, K, T), including EOS unless the limit was reached first; PAD after the last token
    log_probs: Tensor  # (B, K, T) of each token, 0 at PAD


@torch.no_grad()
def draw_samples(
    model: StepModel,
    src_tokens: Tensor,
    start: Tensor,
    noise: Tensor,
    limits: Tensor,
    pad: int,
    eos: int,
    restrict: Optional[Callable[[Tensor], None]] = None,
) -> Samples:
    """Draws K translations of each sentence from the model; PAD is never drawn.

    A sample depends only on its source and its noise, not on the rest of the batch.

    Args:
        model: model to sample from.
        src_tokens: (B, S).
        start: (B,), first token that the decoder reads.
        noise: (B, K, T), uniform in [0, 1); T is at least the largest limit.
        limits: (B,), maximum number of tokens, including EOS.
        pad: id of PAD.
        eos: id of EOS.
        restrict: changes the probabilities (N, V) of the next token in place before a token is drawn, as
            `keep_most_probable` does; None leaves them unchanged.
    """
    sentences, per_sentence, longest = noise.shape
    noise = noise.view(-1, longest)
    tokens = torch.full(noise.shape, pad, device=noise.device)
    log_probs = torch.zeros(noise.shape, device=noise.device)
    samples = torch.arange(len(noise), device=noise.device).view(sentences, per_sentence)  # (b, k) of the rows
    running = torch.ones_like(samples, dtype=torch.bool)  # (b, k); False for finished samples that are still rows
    last = start[:, None].expand_as(samples)
    state = model.start(src_tokens).reorder((samples // per_sentence).flatten())

    for position in range(longest):
        probabilities, _, state = model.step(last.flatten(), state)
        probabilities[:, pad] = 0
        if restrict is not None:
            restrict(probabilities)
        drawn, drawn_log_probs = draw(probabilities, noise[samples.flatten(), position])
        last = drawn.view_as(samples)
        tokens[samples[running], position] = last[running]
        log_probs[samples[running], position] = drawn_log_probs.view_as(samples)[running]

        running = running & (last != eos) & (position + 1 < limits[samples // per_sentence])
        if not running.any():
            break
        kept, slots = _smallest_rectangle(running)
        if slots.numel() <= (1 - LEAVING_SHARE) * running.numel():
            rows = kept[:, None] * running.size(1) + slots
            state = state.select_sentences(kept).reorder(rows.flatten())
            samples, running, last = (part.flatten()[rows] for part in (samples, running, last))
    shape = (sentences, per_sentence, longest)
    return Samples(*(part.view(shape)[:, :, : position + 1] for part in (tokens, log_probs)))


def draw(probabilities: Tensor, noise: Tensor) -> Tuple[Tensor, Tensor]:
    """Draws a token for each row: the first token at which the cumulative probability exceeds the noise.

    Makes one pass over a row, whereas torch.multinomial draws V random numbers per row.

    Args:
        probabilities: (N, V); rows need not sum to 1.
        noise: (N,), uniform in [0, 1).

    Returns:
        Tokens (N,) and their log-probabilities (N,).
    """
    cumulative = probabilities.cumsum(dim=1)
    total = cumulative[:, -1:]
    # NaN scores select the last token; the loss then becomes NaN and fairseq stops.
    drawn = torch.searchsorted(cumulative, noise[:, None] * total, right=True).clamp_(max=probabilities.size(1) - 1)
    return drawn[:, 0], (probabilities.gather(1, drawn) / total).log()[:, 0]


def keep_most_probable(probabilities: Tensor, top_k: int = 0, top_p: float = 1.0) -> None:
    """Zeroes, in place, the probabilities of all but the most probable tokens of each row.

    Args:
        probabilities: (N, V); rows sum to 1.
        top_k: number of tokens to keep; 0 keeps all.
        top_p: minimum total probability of the kept tokens (nucleus sampling, Holtzman et al. 2020, section 3.1); at
            least one token is kept.
    """
    if top_k and top_k < probabilities.size(1):
        minimum = probabilities.topk(top_k, dim=1).values[:, -1:]
        probabilities.masked_fill_(probabilities < minimum, 0)
    if top_p < 1:
        ordered = probabilities.sort(dim=1, descending=True).values
        before = ordered.cumsum(dim=1) - ordered
        number = (before < top_p).sum(dim=1, keepdim=True).clamp_(min=1)
        minimum = ordered.gather(1, number - 1)
        probabilities.masked_fill_(probabilities < minimum, 0)


def uniform_noise(shape: Tuple[int, ...], device: torch.device, process: int) -> Tensor:
    """Returns uniform numbers in [0, 1), reproducible from torch's random state.

    Args:
        shape: shape of the result.
        device: device of the result.
        process: index of the training process; processes with equal random states draw different numbers.
    """
    seed = int(torch.randint(2**62, ())) + process
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)).to(device)


def _smallest_rectangle(running: Tensor) -> Tuple[Tensor, Tensor]:
    """Returns the running sentences (b',) and, per sentence, the slots (b', k') to keep.

    k' is the largest number of running samples of a sentence.
    """
    kept = running.any(dim=1).nonzero()[:, 0]
    maximum = int(running.sum(dim=1).max())
    return kept, running[kept].long().argsort(dim=1, descending=True, stable=True)[:, :maximum]
