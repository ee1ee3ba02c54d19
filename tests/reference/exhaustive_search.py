"""A scripted model small enough to enumerate all translations, and the exhaustive search over them."""

import itertools
import math
from typing import Callable, List, NamedTuple, Optional, Sequence, Tuple

import torch

PAD, EOS, UNK = 1, 2, 3  # ids of fairseq; its BOS is 0


class Scripted(NamedTuple):
    """Model whose logits and attention are random for each (source, prefix), and equal in each call."""

    seed: int
    vocabulary: int
    sharpness: float = 1.0

    def next(self, source: Sequence[int], prefix: Sequence[int]) -> Tuple[torch.Tensor, torch.Tensor]:
        """Returns logits (V,) and attention (len(source),) after a prefix without BOS."""
        generator = torch.Generator().manual_seed(hash((self.seed, tuple(source), tuple(prefix))) % 2**62)
        logits = self.sharpness * torch.randn(self.vocabulary, generator=generator)
        return logits, torch.randn(len(source), generator=generator).mul(2).softmax(dim=0)


class ScriptedState(NamedTuple):
    sources: List[Sequence[int]]  # source of each running sentence, without padding
    offsets: List[int]  # column at which each source begins in its padded row
    width: int  # length of the padded rows
    prefixes: List[Tuple[int, ...]]  # prefix of each row, with BOS

    def reorder(self, rows: torch.Tensor) -> "ScriptedState":
        return self._replace(prefixes=[self.prefixes[row] for row in rows.tolist()])

    def select_sentences(self, kept: torch.Tensor) -> "ScriptedState":
        sources, offsets = ([part[i] for i in kept.tolist()] for part in (self.sources, self.offsets))
        return self._replace(sources=sources, offsets=offsets)

    def join_sentences(self, others: "ScriptedState", rows: int) -> "ScriptedState":
        joined = [prefix for prefix in others.prefixes for _ in range(rows)]
        return ScriptedState(
            self.sources + others.sources,
            self.offsets + others.offsets,
            max(self.width, others.width),
            self.prefixes + joined,
        )


class ScriptedEnsemble:
    """Stands in for an ensemble of scripted models: averages their probabilities and attention."""

    def __init__(self, models: Sequence[Scripted]):
        self.models = models

    def start(self, src_tokens) -> ScriptedState:
        real = src_tokens != PAD
        sources = [tuple(row[mask].tolist()) for row, mask in zip(src_tokens, real)]
        offsets = real.long().argmax(dim=1).tolist()
        return ScriptedState(sources, offsets, src_tokens.size(1), [()] * len(sources))

    def step(self, tokens, state: ScriptedState):
        prefixes = [(*prefix, token) for prefix, token in zip(state.prefixes, tokens.tolist())]
        per_sentence = len(prefixes) // len(state.sources)
        probabilities, attention = [], torch.zeros(len(prefixes), state.width)
        for row, prefix in enumerate(prefixes):
            source = state.sources[row // per_sentence]
            offset = state.offsets[row // per_sentence]
            log_probs, weights = self.next(source, prefix[1:])
            probabilities.append(log_probs.exp())
            attention[row, offset : offset + len(source)] = weights
        return (
            torch.stack(probabilities).to(tokens.device),
            attention.to(tokens.device),
            state._replace(prefixes=prefixes),
        )

    def next(self, source, prefix):
        """Returns log-probabilities (V,) and attention (len(source),) after a prefix without BOS."""
        answers = [model.next(source, prefix) for model in self.models]
        probabilities = torch.stack([logits.softmax(dim=0) for logits, _ in answers]).mean(dim=0)
        return probabilities.log(), torch.stack([weights for _, weights in answers]).mean(dim=0)


class Translation(NamedTuple):
    score: float
    tokens: Tuple[int, ...]  # with EOS
    log_probs: Tuple[float, ...]


def every_translation(
    model: ScriptedEnsemble,
    source: Sequence[int],
    limit: int,
    min_len: int,
    alpha: float,
    const: float,
    beta: float,
    length_penalty: Optional[Callable[[int], float]] = None,
) -> List[Translation]:
    """Returns all translations of `min_len` to `limit` tokens before EOS, best first.

    The score is log P / lp + cp, as in Wu et al. (2016), equation 14.

    Args:
        model: scripted model.
        source: token ids with EOS.
        limit: maximum number of tokens before EOS.
        min_len: minimum number of tokens before EOS.
        alpha: exponent of the length penalty.
        const: constant of the length penalty.
        beta: factor of the coverage penalty.
        length_penalty: function of the length with EOS, which replaces GNMT's; alpha and const then have no effect.
    """
    words = [token for token in range(model.models[0].vocabulary) if token not in (PAD, EOS)]
    translations = []
    for length in range(min_len if limit else 0, limit + 1):
        for body in itertools.product(words, repeat=length):
            tokens = (*body, EOS)
            answers = [model.next(source, tokens[:at]) for at in range(len(tokens))]
            log_probs = tuple(float(p[token]) for token, (p, _) in zip(tokens, answers))
            coverage = sum(weights for _, weights in answers)
            penalty = sum(math.log(min(max(float(total), 1e-38), 1.0)) for total in coverage)
            normalizer = ((const + len(tokens)) / (const + 1)) ** alpha
            if length_penalty is not None:
                normalizer = length_penalty(len(tokens))
            translations.append(Translation(sum(log_probs) / normalizer + beta * penalty, tokens, log_probs))
    return sorted(translations, reverse=True)
