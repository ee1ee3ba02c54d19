"""Random sampling as the batch of a search queue.

Shapes: K samples of a sentence, T target positions, S source positions.
"""

from functools import partial
from typing import List, Sequence

import torch
from torch import Tensor

from gnmt.search.beam_rules import BeamSearchRules, length_limits
from gnmt.search.forced_decoding import force_decode
from gnmt.search.options import SamplingOptions
from gnmt.search.penalties import coverage_penalty
from gnmt.search.results import Hypothesis, SearchResult
from gnmt.search.sampling import draw_samples, keep_most_probable
from gnmt.search.search_queue import QueuedSentence, padded
from gnmt.search.step_model import StepModel


class SamplingBatch:
    """Sentences of one batch; a step draws all of their translations, and scores them as beam search does.

    Args:
        model: model to sample from, with the temperature of `sampling`.
        scorer: model that computes the scores, with temperature 1.
        rules: rules of the scores; its `nbest` option is the number of samples.
        sampling: options; sentence i uses seed + i.
        device: device of the model.
    """

    def __init__(
        self,
        model: StepModel,
        scorer: StepModel,
        rules: BeamSearchRules,
        sampling: SamplingOptions,
        device: torch.device,
    ):
        self._model, self._scorer = model, scorer
        self._rules, self._sampling = rules, sampling
        self._device = device
        self._sentences: List[QueuedSentence] = []

    def __len__(self) -> int:
        return len(self._sentences)

    def join(self, sentences: Sequence[QueuedSentence]) -> None:
        """Adds sentences to the batch."""
        self._sentences.extend(sentences)

    def remove(self, ids: Sequence[int]) -> None:
        """Cancels sentences, which are not returned; unknown ids are ignored."""
        self._sentences = [sentence for sentence in self._sentences if sentence.id not in ids]

    def step(self) -> List[SearchResult]:
        """Draws and scores the samples of all sentences, which then leave the batch."""
        batch, self._sentences = self._sentences, []
        special, options = self._rules.special, self._rules.options
        source = padded([sentence.source for sentence in batch], special.pad, self._device)
        source_lengths = source.ne(special.pad).sum(dim=1) - special.source_bos
        limits = length_limits(source_lengths, options.max_len_a, options.max_len_b)
        noise = torch.zeros(len(batch), options.nbest, max(1, int(limits.max())))
        for sentence, limit, own_noise in zip(batch, limits.tolist(), noise):
            generator = torch.Generator().manual_seed(self._sampling.seed + sentence.id)
            own_noise[:, :limit] = torch.rand(options.nbest, limit, generator=generator)
        noise = noise.to(self._device)
        first = torch.full_like(limits, special.decoder_start)
        restrict = partial(keep_most_probable, top_k=self._sampling.top_k, top_p=self._sampling.top_p)
        tokens = draw_samples(self._model, source, first, noise, limits, special.pad, special.eos, restrict).tokens
        tokens = tokens.masked_fill((limits == 0)[:, None, None], special.pad)  # the first token is always drawn
        return [
            SearchResult(sentence.id, self._score_samples(ids[ids != special.pad], drawn))
            for sentence, ids, drawn in zip(batch, source, tokens)
        ]

    def _score_samples(self, source: Tensor, samples: Tensor) -> List[Hypothesis]:
        """Returns the samples (K, T) of a source (S,) with the scores of a beam search, best first."""
        special = self._rules.special
        target = with_eos(samples, special.pad, special.eos)
        decoder_inputs = torch.cat([torch.full_like(target[:, :1], special.decoder_start), target[:, :-1]], dim=1)
        decoded = force_decode(self._scorer, source.expand(len(target), -1), decoder_inputs, target, special.pad)
        hypotheses = []
        for row, log_probs, attention in zip(target, *decoded):
            length = int(row.ne(special.pad).sum())
            coverage = attention[:length].sum(dim=0)
            no_padding = torch.zeros_like(coverage, dtype=torch.bool)
            penalty = coverage_penalty(coverage, no_padding, self._rules.options.coverage_penalty)
            score = self._rules.final_score(log_probs[:length].sum(), torch.tensor(length), penalty)
            hypotheses.append(Hypothesis(row[:length], score, log_probs[:length], attention[:length]))
        return sorted(hypotheses, key=lambda hypothesis: float(hypothesis.score), reverse=True)


def with_eos(samples: Tensor, pad: int, eos: int) -> Tensor:
    """Returns samples (K, T + 1) with EOS appended to those that reached their limit.

    Args:
        samples: (K, T).
        pad: id of PAD.
        eos: id of EOS.
    """
    filled = torch.cat([samples, torch.full_like(samples[:, :1], pad)], dim=1)
    lengths = filled.ne(pad).sum(dim=1, keepdim=True)
    has_eos = filled.eq(eos).any(dim=1, keepdim=True)
    return filled.scatter(1, lengths.clamp(max=samples.size(1)), torch.where(has_eos, pad, eos))
