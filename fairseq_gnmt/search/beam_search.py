"""Beam search with GNMT's scores.

Shapes: B sentences still running, K hypotheses of a sentence (1 at the first step, then up to the beam),
N = B x K rows, C candidates of a sentence, S source positions, V vocabulary.

Running hypotheses of a sentence have one length and compete on log-probability; a finished one is scored as
log P / lp + cp. At each step the best 2 x beam continuations are looked at: end marks among the first `beam`
finish, the best `beam` others go on. A sentence stops when `beam` hypotheses have finished, at its length limit,
or as soon as no running hypothesis can still enter its n-best list. Pruning (search.pruning) is off by default.
"""
import math
from typing import Dict, List, NamedTuple, Optional, Tuple

import torch
from torch import Tensor

from fairseq_gnmt.errors import UserError
from fairseq_gnmt.search.history import Finished, Step, Written, on_cpu, write_out
from fairseq_gnmt.search.options import SearchOptions
from fairseq_gnmt.search.penalties import GNMTLengthPenalty, LengthPenalty, coverage_penalty
from fairseq_gnmt.search.pruning import NEVER, prune_finished, prune_running
from fairseq_gnmt.search.vocabulary import Candidates, SpecialTokens, best_continuations, restrict

# Stopped sentences leave the batch once they are this share of it: leaving copies the memory of those that stay.
LEAVING_SHARE = 1 / 8


class Translations(NamedTuple):
    """Finished hypotheses in the CPU's memory, each also written out; those of sentence b are `of_sentence[b]`, best first."""

    finished: Finished
    written: Written
    of_sentence: List[List[int]]


class _Running(NamedTuple):
    """The hypotheses that go into a step, and what is known of their sentences."""

    sentences: Tensor  # (B,), counted in the whole batch
    padding_mask: Tensor  # (B, S)
    limits: Tensor  # (B,), most tokens before the end mark
    best: Tensor  # (B, n-best), final scores so far
    finished: Tensor  # (B,), how many hypotheses have
    tokens: Tensor  # (B, K), the last of each hypothesis
    scores: Tensor  # (B, K), log-probabilities; -inf fills up where a sentence has fewer hypotheses
    coverage: Tensor  # (B, K, S), attention that each source position has had; moves with its hypothesis
    parents: Tensor  # (B, K), rows of the step before

    def as_step(self, attention: Tensor) -> Step:
        return Step(self.parents.flatten(), self.tokens.flatten(), self.scores.flatten(), attention)


class BeamSearch:
    """model has start(src_tokens, src_lengths) and step(tokens, state), as search.ensemble.Ensemble."""

    def __init__(
        self, model, special: SpecialTokens, options: SearchOptions, length_penalty: Optional[LengthPenalty] = None
    ):
        """length_penalty replaces GNMT's, which has the factor and the constant of the options."""
        self.model = model
        self.special = special
        self.options = options
        self.length_penalty = length_penalty or GNMTLengthPenalty(options.length_norm_factor, options.length_norm_const)

    @torch.inference_mode()
    def __call__(self, src_tokens: Tensor, src_lengths: Tensor, prefix: Optional[Tensor] = None) -> Translations:
        """src_tokens (whole batch, S), padded on either side.

        prefix (whole batch, P): target tokens to begin with; pad where the model is free.
        """
        state = self.model.start(src_tokens, src_lengths)
        running = self._start(src_tokens.eq(self.special.pad))
        history: List[Step] = []
        finished: List[Finished] = []

        while len(running.sentences):
            step = len(history)
            at_limit = running.limits == step
            probabilities, attention, state = self.model.step(running.tokens.flatten(), state)
            running = running._replace(coverage=running.coverage + attention.view_as(running.coverage))
            history.append(running.as_step(attention))
            candidates = self._candidates(probabilities, running, history, at_limit, prefix)
            del probabilities  # so that the next step's take their memory, part of which is in the processor's cache

            end_marks = candidates.tokens == self.special.eos
            ending = end_marks[:, : self.options.beam]
            if ending.any():
                running, ended = self._finish(candidates, ending, running, step)
                finished.append(ended)

            scores = candidates.scores.masked_fill(end_marks, NEVER)
            best = running.best[:, 0]
            scores = prune_running(scores, self.length_penalty(step + 1), best, self.options.prune_hypotheses)
            hopeless = self._best_possible(scores, step + 2, running.limits + 1) <= running.best[:, -1]
            stopped = hopeless | (running.finished >= self.options.beam) | at_limit
            running, state = self._advance(candidates._replace(scores=scores), running, stopped, state)
        return _collect(history, finished, len(src_tokens), self.options, self.special.eos)

    def _start(self, padding_mask: Tensor) -> _Running:
        """One hypothesis a sentence: the beam fills up at the second step."""
        sentences = torch.arange(len(padding_mask), device=padding_mask.device)
        zeros = torch.zeros(padding_mask.shape, device=padding_mask.device)
        return _Running(
            sentences=sentences,
            padding_mask=padding_mask,
            limits=length_limits((~padding_mask).sum(dim=1) - self.special.begin_marks, self.options),
            best=zeros.new_full((len(zeros), self.options.nbest), NEVER),
            finished=torch.zeros_like(sentences),
            tokens=torch.full_like(sentences, self.special.start)[:, None],
            scores=zeros[:, :1],
            coverage=zeros[:, None],
            parents=torch.zeros_like(sentences)[:, None],
        )

    def _candidates(
        self, probabilities: Tensor, running: _Running, history: List[Step], at_limit: Tensor, prefix: Optional[Tensor]
    ) -> Candidates:
        """The 2 x beam best continuations of each sentence. probabilities (N, V) are overwritten; at_limit is (B,)."""
        if probabilities[:, 0].isnan().any():  # then the whole row is
            raise UserError(
                "The model's scores are not numbers (NaN): its training has diverged, or its weights overflow in "
                "half precision. Use an earlier checkpoint, or translate without --fp16."
            )
        forced = self._forced_tokens(running, len(history) - 1, at_limit, prefix)
        restrict(probabilities, forced, history, self.options, self.special)
        return best_continuations(probabilities, running.scores, 2 * self.options.beam, self.options.prune_tokens)

    def _forced_tokens(self, running: _Running, step: int, at_limit: Tensor, prefix: Optional[Tensor]) -> Tensor:
        """What each sentence (B,) must say: its prefix, or the end mark at its limit; pad where it is free."""
        forced = torch.full_like(running.sentences, self.special.pad)
        if prefix is not None and step < prefix.size(1):
            forced = prefix[running.sentences, step]
        return forced.masked_fill(at_limit, self.special.eos)

    def _finish(
        self, candidates: Candidates, ending: Tensor, running: _Running, step: int
    ) -> Tuple[_Running, Finished]:
        """What ends at this step: candidates where `ending` (B, up to beam) is True."""
        final = self._final_scores(candidates, running, length=step + 1).masked_fill(~ending, NEVER)
        best = torch.cat([running.best, final], dim=1).topk(self.options.nbest).values
        final = prune_finished(final, best[:, 0], self.options.prune_hypotheses)
        ended = _finished_at(final, candidates, running, step)
        return running._replace(best=best, finished=running.finished + (final > NEVER).sum(dim=1)), ended

    def _final_scores(self, candidates: Candidates, running: _Running, length: int) -> Tensor:
        """log P / lp + cp of the first `beam` candidates, if they ended here: (B, up to beam)."""
        options = self.options
        normalized = candidates.scores[:, : options.beam] / self.length_penalty(length)
        if not options.coverage_penalty:
            return normalized
        coverage = coverage_penalty(running.coverage, running.padding_mask[:, None], options.coverage_penalty)
        return normalized + coverage.gather(1, candidates.hypotheses[:, : options.beam])

    def _best_possible(self, scores: Tensor, shortest: int, longest: Tensor) -> Tensor:
        """No running hypothesis can finish above this (B,): from here on log P and cp only fall.

        scores (B, C) are log-probabilities, at most 0, so the largest length penalty gives the best score. A hypothesis
        finishes with a length from `shortest` to `longest` (B,).
        """
        alive = scores.max(dim=1).values
        if self.options.unkpen < 0:  # unknown words add to the score: there is no bound
            return alive.masked_fill(alive > NEVER, float("inf"))
        return alive / self.length_penalty.largest(shortest, longest)

    def _advance(self, candidates: Candidates, running: _Running, stopped: Tensor, state):
        """The best `beam` candidates become the next running hypotheses, and the model's state follows them."""
        scores = candidates.scores.masked_fill(stopped[:, None], NEVER)
        living = int((scores > NEVER).sum(dim=1).max())  # fewer than the beam after pruning, or with few tokens
        scores, chosen = scores.topk(min(self.options.beam, max(living, 1)), dim=1)
        hypotheses = candidates.hypotheses.gather(1, chosen)
        first_rows = torch.arange(len(stopped), device=stopped.device)[:, None] * running.tokens.size(1)
        parents = first_rows + hypotheses
        running = running._replace(
            tokens=candidates.tokens.gather(1, chosen),
            scores=scores,
            coverage=running.coverage.flatten(0, 1)[parents],
            parents=parents,
        )
        leaving = int(stopped.sum())
        if leaving >= LEAVING_SHARE * len(stopped) and leaving:
            staying = (~stopped).nonzero()[:, 0]
            running = running._make(part[staying] for part in running)
            state = state.select_sentences(staying)
        return running, state.reorder(running.parents.flatten())


def length_limits(source_lengths: Tensor, options: SearchOptions) -> Tensor:
    """Most tokens (B,) before the end mark, from the true source lengths (B,) with their end mark.

    Not from padded lengths, so that batch mates have no say; an empty source has an empty translation.
    """
    limits = (options.max_len_a * source_lengths + options.max_len_b).long()
    return limits.masked_fill(source_lengths <= 1, 0)


def _finished_at(final: Tensor, candidates: Candidates, running: _Running, step: int) -> Finished:
    sentences, places = (final > NEVER).nonzero(as_tuple=True)
    return Finished(
        sentences=running.sentences[sentences],
        steps=torch.full_like(sentences, step),
        rows=sentences * running.tokens.size(1) + candidates.hypotheses[sentences, places],
        log_probs=candidates.scores[sentences, places],
        scores=final[sentences, places],
    )


def _collect(
    history: List[Step], finished: List[Finished], sentences: int, options: SearchOptions, eos: int
) -> Translations:
    everything = Finished(*(torch.cat(parts).cpu() for parts in zip(*finished)))
    order = everything.scores.argsort(descending=True, stable=True)
    of_sentence: List[List[int]] = [[] for _ in range(sentences)]
    chosen = []
    best: Dict[int, float] = {}  # score of each sentence
    ordered = (order, everything.sentences[order], everything.scores[order])
    for index, sentence, score in zip(*(part.tolist() for part in ordered)):
        within = score >= best.setdefault(sentence, score) - (options.prune_hypotheses or math.inf)
        if within and len(of_sentence[sentence]) < options.nbest:
            of_sentence[sentence].append(len(chosen))
            chosen.append(index)
    chosen_hypotheses = Finished(*(part[chosen] for part in everything))
    return Translations(chosen_hypotheses, write_out(on_cpu(history), chosen_hypotheses, eos), of_sentence)
