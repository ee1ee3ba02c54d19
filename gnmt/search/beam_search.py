"""Beam search with GNMT's scores: the rules of one step. The loop is in `running_search`.

tests/reference/plain_beam_search.py contains the algorithm in plain Python, for one sentence.

Running hypotheses of a sentence have equal length and compete on log-probability. The score of a finished hypothesis is
log P / lp + cp (Wu et al. 2016, section 7). Each step selects the best 2 x beam continuations of a sentence. Of the
first `beam` continuations, all with EOS finish. The best `beam` continuations without EOS continue. A sentence stops
when `beam` hypotheses have finished, at its length limit, or when no running hypothesis can still enter its n-best
list. Pruning (search.pruning) is off by default.

Shapes: B sentences of the batch, running or stopped, K hypotheses of a sentence, N = B x K rows, C candidates of a
sentence, S source positions, P tokens of the longest prefix, V vocabulary size. K is 1 at the first step of a batch,
then up to the beam.
"""

from typing import NamedTuple, Optional, Tuple

import torch
from torch import Tensor
from torch.nn import functional as F

from gnmt.errors import UserError
from gnmt.network.attention import longest_source
from gnmt.search.backpointers import BeamStep, FinishedHypotheses, History
from gnmt.search.options import SearchOptions
from gnmt.search.penalties import GNMTLengthPenalty, LengthPenalty, coverage_penalty
from gnmt.search.pruning import NEG_INF, prune_finished, prune_running
from gnmt.search.vocabulary import Candidates, SpecialTokens, apply_constraints, best_continuations, topk_in_order


class BeamState(NamedTuple):
    """Input hypotheses of a step, and the state of their sentences."""

    sentences: Tensor  # (B,), ids
    first_steps: Tensor  # (B,), step at which the sentence joined
    padding_mask: Tensor  # (B, S), True at padding, which is on the right
    prefix: Tensor  # (B, P), forced first target tokens; PAD means unconstrained
    limits: Tensor  # (B,), maximum number of tokens before EOS
    best: Tensor  # (B, n-best), best final scores of finished hypotheses
    finished: Tensor  # (B,), number of finished hypotheses
    tokens: Tensor  # (B, K), last token of each hypothesis
    scores: Tensor  # (B, K), log-probabilities; -inf where a sentence has fewer hypotheses
    coverage: Tensor  # (B, K, S), sum of the attention on each source position; reordered with the hypotheses
    parents: Tensor  # (B, K), rows of the previous step

    @property
    def beam(self) -> int:
        """Number of hypotheses of a sentence, K."""
        return self.tokens.size(1)

    def as_beam_step(self, attention: Tensor) -> BeamStep:
        """Returns the backpointers of these rows, with their attention weights (N, S)."""
        return BeamStep(self.parents.flatten(), self.tokens.flatten(), self.scores.flatten(), attention)

    def select(self, sentences: Tensor) -> "BeamState":
        """Returns the state of the given sentences; columns that contain only padding are removed.

        Args:
            sentences: indices into this batch, one per sentence of the result.
        """
        selected = BeamState._make(part[sentences] for part in self)
        width = longest_source(selected.padding_mask)
        return selected._replace(
            padding_mask=selected.padding_mask[:, :width], coverage=selected.coverage[:, :, :width]
        )

    def join(self, others: "BeamState", pad: int) -> "BeamState":
        """Returns these sentences followed by others, widened to common S, K and P.

        Args:
            others: sentences to append.
            pad: id of PAD, which fills prefixes.
        """
        names = ("padding_mask", "tokens", "prefix")
        sources, beam, prefix = (max(getattr(self, name).size(1), getattr(others, name).size(1)) for name in names)
        both = [one._widened(sources, beam, prefix, pad) for one in (self, others)]
        return BeamState._make(map(torch.cat, zip(*both)))

    def _widened(self, width: int, beam: int, prefix: int, pad: int) -> "BeamState":
        sources, hypotheses = width - self.padding_mask.size(1), beam - self.beam
        return self._replace(
            padding_mask=F.pad(self.padding_mask, (0, sources), value=True),
            prefix=F.pad(self.prefix, (0, prefix - self.prefix.size(1)), value=pad),
            tokens=F.pad(self.tokens, (0, hypotheses), value=pad),
            scores=F.pad(self.scores, (0, hypotheses), value=NEG_INF),
            coverage=F.pad(self.coverage, (0, sources, 0, hypotheses)),
            parents=F.pad(self.parents, (0, hypotheses)),
        )


class BeamSearchRules:
    """Rules of a beam search, without state.

    Args:
        special: ids of the special tokens.
        options: options of the search.
        length_penalty: replaces GNMT's length penalty, which uses the factor and constant of the options.
    """

    def __init__(self, special: SpecialTokens, options: SearchOptions, length_penalty: Optional[LengthPenalty] = None):
        self.special = special
        self.options = options
        self.length_penalty = length_penalty or GNMTLengthPenalty(options.length_norm_factor, options.length_norm_const)

    def initial_state(self, ids: Tensor, step: int, padding_mask: Tensor, prefix: Tensor) -> BeamState:
        """Returns sentences (B,) before their first step: one hypothesis each, without tokens.

        Args:
            ids: (B,), returned with the translations.
            step: number of the step at which the sentences join.
            padding_mask: (B, S), True at padding, which is on the right.
            prefix: (B, P), forced first target tokens; PAD means unconstrained.
        """
        zeros = torch.zeros(padding_mask.shape, device=padding_mask.device)
        return BeamState(
            sentences=ids,
            first_steps=torch.full_like(ids, step),
            padding_mask=padding_mask,
            prefix=prefix,
            limits=length_limits((~padding_mask).sum(dim=1) - self.special.source_bos, self.options),
            best=zeros.new_full((len(ids), self.options.nbest), NEG_INF),
            finished=torch.zeros_like(ids),
            tokens=torch.full_like(ids, self.special.decoder_start)[:, None],
            scores=zeros[:, :1],
            coverage=zeros[:, None],
            parents=torch.zeros_like(ids)[:, None],
        )

    def candidates(self, probabilities: Tensor, running: BeamState, history: History) -> Candidates:
        """Returns the 2 x beam best continuations of each sentence.

        Args:
            probabilities: (N, V), of the next token; overwritten.
            running: input hypotheses of the step.
            history: backpointers of the search.

        Raises:
            UserError: if the probabilities are NaN.
        """
        if probabilities[:, 0].isnan().any():  # softmax makes the whole row NaN
            raise UserError(
                "The model's scores are not numbers (NaN): its training has diverged, or its weights overflow in "
                "half precision. Use an earlier checkpoint, or translate without --fp16."
            )
        num_tokens = history.next_step - 1 - running.first_steps
        apply_constraints(
            probabilities, self._forced_tokens(running, num_tokens), history, num_tokens, self.options, self.special
        )
        return best_continuations(probabilities, running.scores, 2 * self.options.beam, self.options.prune_tokens)

    def finish(
        self, candidates: Candidates, running: BeamState, step: int
    ) -> Tuple[BeamState, Optional[FinishedHypotheses]]:
        """Finishes the candidates that end in EOS among the first `beam`.

        Args:
            candidates: continuations of each sentence, best first.
            running: input hypotheses of the step.
            step: number of the step.

        Returns:
            The updated sentences, and the finished hypotheses; None if there are none.
        """
        finishing = candidates.tokens[:, : self.options.beam] == self.special.eos
        if not finishing.any():
            return running, None
        final = self._final_scores(candidates, running, step + 1 - running.first_steps).masked_fill(~finishing, NEG_INF)
        best = torch.cat([running.best, final], dim=1).topk(self.options.nbest).values
        final = prune_finished(final, best[:, 0], self.options.prune_hypotheses)
        sentences, places = (final > NEG_INF).nonzero(as_tuple=True)
        newly_finished = FinishedHypotheses(
            sentences=running.sentences[sentences],
            first_steps=running.first_steps[sentences],
            last_steps=torch.full_like(sentences, step),
            rows=sentences * running.beam + candidates.hypotheses[sentences, places],
            log_probs=candidates.scores[sentences, places],
            scores=final[sentences, places],
        )
        return running._replace(best=best, finished=running.finished + (final > NEG_INF).sum(dim=1)), newly_finished

    def advance(self, candidates: Candidates, running: BeamState, step: int) -> Tuple[BeamState, Tensor]:
        """Continues the best `beam` candidates without EOS.

        Args:
            candidates: continuations of each sentence, best first.
            running: input hypotheses of the step.
            step: number of the step.

        Returns:
            The next running hypotheses, where stopped sentences have none, and a mask (B,), True for stopped
            sentences.
        """
        lengths = step + 1 - running.first_steps
        scores = candidates.scores.masked_fill(candidates.tokens == self.special.eos, NEG_INF)
        scores = prune_running(scores, self.length_penalty(lengths), running.best[:, 0], self.options.prune_hypotheses)
        cannot_improve = self._best_possible(scores, lengths + 1, running.limits + 1) <= running.best[:, -1]
        stopped = cannot_improve | (running.finished >= self.options.beam) | (running.limits == lengths - 1)

        scores = scores.masked_fill(stopped[:, None], NEG_INF)
        # Fewer than the beam after pruning or with a small vocabulary.
        num_alive = int((scores > NEG_INF).sum(dim=1).max())
        scores, chosen = topk_in_order(scores, min(self.options.beam, max(num_alive, 1)))
        hypotheses = candidates.hypotheses.gather(1, chosen)
        parents = torch.arange(len(stopped), device=stopped.device)[:, None] * running.beam + hypotheses
        running = running._replace(
            tokens=candidates.tokens.gather(1, chosen),
            scores=scores,
            coverage=running.coverage.flatten(0, 1)[parents],
            parents=parents,
        )
        return running, stopped

    def _forced_tokens(self, running: BeamState, num_tokens: Tensor) -> Tensor:
        """Returns the token that each sentence (B,) is forced to emit: its prefix token, or EOS at the length limit.

        PAD means unconstrained. num_tokens (B,) are the numbers of tokens of the hypotheses.
        """
        forced = torch.full_like(running.sentences, self.special.pad)
        longest = running.prefix.size(1)
        if longest:
            token = running.prefix.gather(1, num_tokens.clamp(max=longest - 1)[:, None])[:, 0]
            forced = torch.where(num_tokens < longest, token, forced)
        return forced.masked_fill(running.limits == num_tokens, self.special.eos)

    def _final_scores(self, candidates: Candidates, running: BeamState, lengths: Tensor) -> Tensor:
        """Returns log P / lp + cp of the first `beam` candidates, (B, up to beam), as if they ended at this step."""
        options = self.options
        normalized = candidates.scores[:, : options.beam] / self.length_penalty(lengths)[:, None]
        if not options.coverage_penalty:
            return normalized
        coverage = coverage_penalty(running.coverage, running.padding_mask[:, None], options.coverage_penalty)
        return normalized + coverage.gather(1, candidates.hypotheses[:, : options.beam])

    def _best_possible(self, scores: Tensor, shortest: Tensor, longest: Tensor) -> Tensor:
        """Returns an upper bound (B,) of the final scores of running hypotheses: log P and cp can only decrease.

        Log-probabilities are at most 0, so the largest length penalty gives the best score.

        Args:
            scores: (B, C), log-probabilities.
            shortest: (B,), minimum length of a finished hypothesis.
            longest: (B,), maximum length of a finished hypothesis.
        """
        alive = scores.max(dim=1).values
        if self.options.unkpen < 0:  # unknown words increase the score, so there is no bound
            return alive.masked_fill(alive > NEG_INF, float("inf"))
        return alive / self.length_penalty.largest(shortest, longest)


def length_limits(source_lengths: Tensor, options: SearchOptions) -> Tensor:
    """Returns the maximum number of tokens (B,) before EOS; 0 for an empty source.

    Uses true lengths, so other sentences in the batch have no influence.

    Args:
        source_lengths: (B,), true source lengths including EOS.
        options: options of the search.
    """
    limits = (options.max_len_a * source_lengths + options.max_len_b).long()
    return limits.masked_fill(source_lengths <= 1, 0)
