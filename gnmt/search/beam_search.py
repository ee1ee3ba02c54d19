"""Beam search with GNMT's scores. tests/reference/plain_beam_search.py has the algorithm in plain Python.

Shapes: B sentences of the batch, running or stopped, K hypotheses of a sentence (1 at the first step, then up to the
beam), N = B x K rows, C candidates of a sentence, S source positions, V vocabulary.

Running hypotheses of a sentence have one length and compete on log-probability; a finished one is scored as
log P / lp + cp. Each step takes the best 2 x beam continuations: those of the first `beam` that end in EOS
finish, and the best `beam` others continue. A sentence stops when `beam` hypotheses have finished, at its length limit,
or as soon as no running hypothesis can still enter its n-best list. Pruning (search.pruning) is off by default.
"""
import math
from typing import Dict, List, NamedTuple, Optional, Tuple

import torch
from torch import Tensor

from gnmt.errors import UserError
from gnmt.search.backpointers import Backtraced, BeamStep, Finished, backtrace, on_cpu
from gnmt.search.options import SearchOptions
from gnmt.search.penalties import GNMTLengthPenalty, LengthPenalty, coverage_penalty
from gnmt.search.pruning import NEG_INF, prune_finished, prune_running
from gnmt.search.vocabulary import Candidates, SpecialTokens, apply_constraints, best_continuations

# Stopped sentences are removed from the batch once they are this share of it: removing copies the memory of the others.
LEAVING_SHARE = 1 / 8


class BeamSearchOutput(NamedTuple):
    """Finished and backtraced hypotheses, in the CPU's memory.

    Those of sentence b have the indices `of_sentence[b]`, best first.
    """

    finished: Finished
    backtraced: Backtraced
    of_sentence: List[List[int]]


class _Running(NamedTuple):
    """Input hypotheses of a step, and the state of their sentences."""

    sentences: Tensor  # (B,), index in the whole batch
    padding_mask: Tensor  # (B, S)
    limits: Tensor  # (B,), maximum number of tokens before EOS
    best: Tensor  # (B, n-best), final scores so far
    finished: Tensor  # (B,), number of finished hypotheses
    tokens: Tensor  # (B, K), last token of each hypothesis
    scores: Tensor  # (B, K), log-probabilities; -inf where a sentence has fewer hypotheses
    coverage: Tensor  # (B, K, S), sum of the attention on each source position; reordered with the hypotheses
    parents: Tensor  # (B, K), rows of the step before

    def as_beam_step(self, attention: Tensor) -> BeamStep:
        return BeamStep(self.parents.flatten(), self.tokens.flatten(), self.scores.flatten(), attention)


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
    def __call__(self, src_tokens: Tensor, src_lengths: Tensor, prefix: Optional[Tensor] = None) -> BeamSearchOutput:
        """Searches the best translations of a batch.

        Args:
            src_tokens: (whole batch, S), padded on either side.
            src_lengths: passed on to the model.
            prefix: (whole batch, P), target tokens to begin with; PAD means unconstrained.
        """
        state = self.model.start(src_tokens, src_lengths)
        running = self._start(src_tokens.eq(self.special.pad))
        backpointers: List[BeamStep] = []
        finished: List[Finished] = []

        while len(running.sentences):
            step = len(backpointers)
            at_limit = running.limits == step
            probabilities, attention, state = self.model.step(running.tokens.flatten(), state)
            running = running._replace(coverage=running.coverage + attention.view_as(running.coverage))
            backpointers.append(running.as_beam_step(attention))
            candidates = self._candidates(probabilities, running, backpointers, at_limit, prefix)
            del probabilities  # frees their memory, which is partly in the processor's cache, for the next step

            is_eos = candidates.tokens == self.special.eos
            finishing = is_eos[:, : self.options.beam]
            if finishing.any():
                running, newly_finished = self._finish(candidates, finishing, running, step)
                finished.append(newly_finished)

            scores = candidates.scores.masked_fill(is_eos, NEG_INF)
            best = running.best[:, 0]
            scores = prune_running(scores, self.length_penalty(step + 1), best, self.options.prune_hypotheses)
            cannot_improve = self._best_possible(scores, step + 2, running.limits + 1) <= running.best[:, -1]
            stopped = cannot_improve | (running.finished >= self.options.beam) | at_limit
            running, state = self._advance(candidates._replace(scores=scores), running, stopped, state)
        return _collect(backpointers, finished, len(src_tokens), self.options, self.special.eos)

    def _start(self, padding_mask: Tensor) -> _Running:
        """Returns one hypothesis per sentence: the beam fills up at the second step."""
        sentences = torch.arange(len(padding_mask), device=padding_mask.device)
        zeros = torch.zeros(padding_mask.shape, device=padding_mask.device)
        return _Running(
            sentences=sentences,
            padding_mask=padding_mask,
            limits=length_limits((~padding_mask).sum(dim=1) - self.special.source_bos, self.options),
            best=zeros.new_full((len(zeros), self.options.nbest), NEG_INF),
            finished=torch.zeros_like(sentences),
            tokens=torch.full_like(sentences, self.special.decoder_start)[:, None],
            scores=zeros[:, :1],
            coverage=zeros[:, None],
            parents=torch.zeros_like(sentences)[:, None],
        )

    def _candidates(
        self,
        probabilities: Tensor,
        running: _Running,
        backpointers: List[BeamStep],
        at_limit: Tensor,
        prefix: Optional[Tensor],
    ) -> Candidates:
        """Returns the 2 x beam best continuations of each sentence; overwrites probabilities (N, V).

        at_limit is (B,).
        """
        if probabilities[:, 0].isnan().any():  # then the whole row is
            raise UserError(
                "The model's scores are not numbers (NaN): its training has diverged, or its weights overflow in "
                "half precision. Use an earlier checkpoint, or translate without --fp16."
            )
        forced = self._forced_tokens(running, len(backpointers) - 1, at_limit, prefix)
        apply_constraints(probabilities, forced, backpointers, self.options, self.special)
        return best_continuations(probabilities, running.scores, 2 * self.options.beam, self.options.prune_tokens)

    def _forced_tokens(self, running: _Running, step: int, at_limit: Tensor, prefix: Optional[Tensor]) -> Tensor:
        """Returns the token that each sentence (B,) is forced to emit: its prefix token, or EOS at the length limit.

        PAD means unconstrained.
        """
        forced = torch.full_like(running.sentences, self.special.pad)
        if prefix is not None and step < prefix.size(1):
            forced = prefix[running.sentences, step]
        return forced.masked_fill(at_limit, self.special.eos)

    def _finish(
        self, candidates: Candidates, finishing: Tensor, running: _Running, step: int
    ) -> Tuple[_Running, Finished]:
        """Finishes the candidates for which `finishing` (B, up to beam) is True."""
        final = self._final_scores(candidates, running, length=step + 1).masked_fill(~finishing, NEG_INF)
        best = torch.cat([running.best, final], dim=1).topk(self.options.nbest).values
        final = prune_finished(final, best[:, 0], self.options.prune_hypotheses)
        newly_finished = _finished_at(final, candidates, running, step)
        return running._replace(best=best, finished=running.finished + (final > NEG_INF).sum(dim=1)), newly_finished

    def _final_scores(self, candidates: Candidates, running: _Running, length: int) -> Tensor:
        """Returns log P / lp + cp of the first `beam` candidates as if they ended here: (B, up to beam)."""
        options = self.options
        normalized = candidates.scores[:, : options.beam] / self.length_penalty(length)
        if not options.coverage_penalty:
            return normalized
        coverage = coverage_penalty(running.coverage, running.padding_mask[:, None], options.coverage_penalty)
        return normalized + coverage.gather(1, candidates.hypotheses[:, : options.beam])

    def _best_possible(self, scores: Tensor, shortest: int, longest: Tensor) -> Tensor:
        """Returns an upper bound (B,) of the final scores of running hypotheses: log P and cp can only fall.

        scores (B, C) are log-probabilities, at most 0, so the largest length penalty gives the best score. A hypothesis
        finishes with a length from `shortest` to `longest` (B,).
        """
        alive = scores.max(dim=1).values
        if self.options.unkpen < 0:  # unknown words add to the score: there is no bound
            return alive.masked_fill(alive > NEG_INF, float("inf"))
        return alive / self.length_penalty.largest(shortest, longest)

    def _advance(self, candidates: Candidates, running: _Running, stopped: Tensor, state):
        """Makes the best `beam` candidates the next running hypotheses, and reorders the model's state with them."""
        scores = candidates.scores.masked_fill(stopped[:, None], NEG_INF)
        num_alive = int((scores > NEG_INF).sum(dim=1).max())  # fewer than the beam after pruning, or with few tokens
        scores, chosen = scores.topk(min(self.options.beam, max(num_alive, 1)), dim=1)
        hypotheses = candidates.hypotheses.gather(1, chosen)
        first_rows = torch.arange(len(stopped), device=stopped.device)[:, None] * running.tokens.size(1)
        parents = first_rows + hypotheses
        running = running._replace(
            tokens=candidates.tokens.gather(1, chosen),
            scores=scores,
            coverage=running.coverage.flatten(0, 1)[parents],
            parents=parents,
        )
        num_stopped = int(stopped.sum())
        if num_stopped >= LEAVING_SHARE * len(stopped) and num_stopped:
            kept = (~stopped).nonzero()[:, 0]
            running = running._make(part[kept] for part in running)
            state = state.select_sentences(kept)
        return running, state.reorder(running.parents.flatten())


def length_limits(source_lengths: Tensor, options: SearchOptions) -> Tensor:
    """Returns the maximum number of tokens (B,) before EOS, from the true source lengths (B,), EOS included.

    Uses true lengths, so other sentences in the batch have no influence. An empty source has an empty translation.
    """
    limits = (options.max_len_a * source_lengths + options.max_len_b).long()
    return limits.masked_fill(source_lengths <= 1, 0)


def _finished_at(final: Tensor, candidates: Candidates, running: _Running, step: int) -> Finished:
    sentences, places = (final > NEG_INF).nonzero(as_tuple=True)
    return Finished(
        sentences=running.sentences[sentences],
        steps=torch.full_like(sentences, step),
        rows=sentences * running.tokens.size(1) + candidates.hypotheses[sentences, places],
        log_probs=candidates.scores[sentences, places],
        scores=final[sentences, places],
    )


def _collect(
    backpointers: List[BeamStep], finished: List[Finished], sentences: int, options: SearchOptions, eos: int
) -> BeamSearchOutput:
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
    return BeamSearchOutput(chosen_hypotheses, backtrace(on_cpu(backpointers), chosen_hypotheses, eos), of_sentence)
