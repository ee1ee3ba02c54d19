"""Rules of one step of a beam search with GNMT's scores. The loop is in `beam_search`.

tests/reference/plain_beam_search.py contains the algorithm in plain Python, for one sentence.

Running hypotheses of a sentence have equal length and compete on log-probability. The score of a finished hypothesis is
log P / lp + cp (Wu et al. 2016, section 7). Each step selects the best 2 x beam continuations of a sentence. Among the
first `beam` continuations, those that end in EOS finish. The best `beam` continuations without EOS continue. A sentence
stops when `beam` hypotheses have finished, at its length limit, or when no running hypothesis can still enter its
n-best list. Pruning (search.pruning) is off by default.

Shapes: B sentences of the batch, running or stopped, K hypotheses of a sentence, N = B x K rows, C candidates of a
sentence, S source positions, P tokens of the longest prefix, V vocabulary size.
"""

from typing import Optional, Tuple

import torch
from torch import Tensor

from gnmt.errors import UserError
from gnmt.search.backpointers import FinishedHypotheses, History
from gnmt.search.beam_state import BeamState
from gnmt.search.options import SearchOptions
from gnmt.search.penalties import GNMTLengthPenalty, LengthPenalty, coverage_penalty
from gnmt.search.pruning import NEG_INF, keep_within, prune_running
from gnmt.search.token_selection import Candidates, SpecialTokens, apply_constraints, best_continuations, topk_in_order


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
        source_lengths = (~padding_mask).sum(dim=1) - self.special.source_bos
        return BeamState(
            sentence_ids=ids,
            first_steps=torch.full_like(ids, step),
            padding_mask=padding_mask,
            prefix=prefix,
            limits=length_limits(source_lengths, self.options.max_len_a, self.options.max_len_b),
            best_scores=zeros.new_full((len(ids), self.options.nbest), NEG_INF),
            num_finished=torch.zeros_like(ids),
            tokens=torch.full_like(ids, self.special.decoder_start)[:, None],
            log_probs=zeros[:, :1],
            coverage=zeros[:, None],
            backpointers=torch.zeros_like(ids)[:, None],
        )

    def candidates(self, probabilities: Tensor, running: BeamState, history: History, step: int) -> Candidates:
        """Returns the 2 x beam best continuations of each sentence.

        Args:
            probabilities: (N, V), of the next token; overwritten.
            running: input hypotheses of the step.
            history: backpointers of the search, including this step.
            step: number of the step.

        Raises:
            UserError: if the probabilities are NaN.
        """
        if probabilities[:, 0].isnan().any():  # softmax makes the whole row NaN
            raise UserError(
                "The model's scores are not numbers (NaN): its training has diverged, or its weights overflow in "
                "half precision. Use an earlier checkpoint, or translate without --fp16."
            )
        num_tokens = running.num_tokens(step)
        apply_constraints(
            probabilities, self._forced_tokens(running, num_tokens), history, num_tokens, self.options, self.special
        )
        return best_continuations(probabilities, running.log_probs, 2 * self.options.beam, self.options.prune_tokens)

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
        scores = self._final_scores(candidates, running, step).masked_fill(~finishing, NEG_INF)
        best_scores = torch.cat([running.best_scores, scores], dim=1).topk(self.options.nbest).values
        scores = keep_within(scores, best_scores[:, :1], self.options.prune_hypotheses)
        has_finished = scores > NEG_INF
        indices, ranks = has_finished.nonzero(as_tuple=True)  # of sentences in the batch, and of their candidates
        newly_finished = FinishedHypotheses(
            sentence_ids=running.sentence_ids[indices],
            first_steps=running.first_steps[indices],
            last_steps=torch.full_like(indices, step),
            rows=indices * running.beam + candidates.hypotheses[indices, ranks],
            log_probs=candidates.log_probs[indices, ranks],
            scores=scores[indices, ranks],
        )
        num_finished = running.num_finished + has_finished.sum(dim=1)
        return running._replace(best_scores=best_scores, num_finished=num_finished), newly_finished

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
        options, lengths = self.options, running.num_tokens(step + 1)
        log_probs = candidates.log_probs.masked_fill(candidates.tokens == self.special.eos, NEG_INF)
        log_probs = prune_running(
            log_probs, self.length_penalty(lengths), running.best_scores[:, 0], options.prune_hypotheses
        )
        is_at_limit = running.limits == running.num_tokens(step)
        cannot_improve = self._best_possible(log_probs, lengths + 1, running.limits + 1) <= running.best_scores[:, -1]
        stopped = cannot_improve | (running.num_finished >= options.beam) | is_at_limit

        log_probs = log_probs.masked_fill(stopped[:, None], NEG_INF)
        # Fewer than the beam after pruning or with a small vocabulary.
        num_alive = int((log_probs > NEG_INF).sum(dim=1).max())
        log_probs, chosen = topk_in_order(log_probs, min(options.beam, max(num_alive, 1)))
        hypotheses = candidates.hypotheses.gather(1, chosen)
        backpointers = torch.arange(len(stopped), device=stopped.device)[:, None] * running.beam + hypotheses
        running = running._replace(
            tokens=candidates.tokens.gather(1, chosen),
            log_probs=log_probs,
            coverage=running.coverage.flatten(0, 1)[backpointers],
            backpointers=backpointers,
        )
        return running, stopped

    def final_score(self, log_probs: Tensor, lengths: Tensor, coverage_penalties: Optional[Tensor] = None) -> Tensor:
        """Returns the scores of finished hypotheses: log P / lp + cp (Wu et al. 2016, equation 14).

        Args:
            log_probs: log-probabilities of the hypotheses, including EOS.
            lengths: numbers of tokens, including EOS; the shape broadcasts.
            coverage_penalties: of the shape of log_probs; None if the coverage penalty is off.
        """
        normalized = log_probs / self.length_penalty(lengths)
        return normalized if coverage_penalties is None else normalized + coverage_penalties

    def _forced_tokens(self, running: BeamState, num_tokens: Tensor) -> Tensor:
        """Returns the token that each sentence (B,) is forced to emit: its prefix token, or EOS at the length limit.

        PAD means unconstrained.

        Args:
            running: input hypotheses of the step.
            num_tokens: (B,), number of tokens of each sentence's hypotheses before this step.
        """
        forced = torch.full_like(running.sentence_ids, self.special.pad)
        longest = running.prefix.size(1)
        if longest:
            token = running.prefix.gather(1, num_tokens.clamp(max=longest - 1)[:, None])[:, 0]
            forced = torch.where(num_tokens < longest, token, forced)
        return forced.masked_fill(running.limits == num_tokens, self.special.eos)

    def _final_scores(self, candidates: Candidates, running: BeamState, step: int) -> Tensor:
        """Returns the final scores of the first `beam` candidates, (B, up to beam), as if they ended at this step.

        Args:
            candidates: continuations of each sentence, best first.
            running: input hypotheses of the step.
            step: number of the step.
        """
        beam, factor, penalties = self.options.beam, self.options.coverage_penalty, None
        if factor:
            by_hypothesis = coverage_penalty(running.coverage, running.padding_mask[:, None], factor)
            penalties = by_hypothesis.gather(1, candidates.hypotheses[:, :beam])
        return self.final_score(candidates.log_probs[:, :beam], running.num_tokens(step + 1)[:, None], penalties)

    def _best_possible(self, log_probs: Tensor, shortest: Tensor, longest: Tensor) -> Tensor:
        """Returns an upper bound (B,) of the final scores of running hypotheses: log P and cp can only decrease.

        Log-probabilities are at most 0, so the largest length penalty gives the best score.

        Args:
            log_probs: (B, C), of running hypotheses.
            shortest: (B,), minimum length of a finished hypothesis.
            longest: (B,), maximum length of a finished hypothesis.
        """
        alive = log_probs.max(dim=1).values
        if self.options.unkpen < 0:  # unknown words increase the score, so there is no bound
            return alive.masked_fill(alive > NEG_INF, float("inf"))
        return alive / self.length_penalty.largest(shortest, longest)


def length_limits(source_lengths: Tensor, max_len_a: float, max_len_b: int) -> Tensor:
    """Returns the maximum number of tokens (B,) before EOS; 0 for an empty source.

    Uses true lengths, so other sentences in the batch have no influence.

    Args:
        source_lengths: (B,), true source lengths including EOS.
        max_len_a: a in a * x + b, where x is the source length.
        max_len_b: b.
    """
    limits = (max_len_a * source_lengths + max_len_b).long()
    return limits.masked_fill(source_lengths <= 1, 0)
