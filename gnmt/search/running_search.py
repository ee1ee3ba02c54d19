"""Loop of a beam search that sentences can join and leave at every step (continuous batching).

A fixed batch is the special case without new sentences; `search_queue` adds sentences while others leave. A translation
does not depend on the schedule: steps are counted per sentence.

Shapes: B sentences, S source positions, T target positions, P tokens of the longest prefix.
"""

import math
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Set

import torch
from torch import Tensor

from gnmt.search.backpointers import FinishedHypotheses, History
from gnmt.search.beam_search import BeamSearchRules, BeamState
from gnmt.search.options import SearchOptions

# Share of stopped sentences at which they are removed from the batch. Removal copies the source memory of the others.
LEAVING_SHARE = 1 / 8


class Hypothesis(NamedTuple):
    """One translation of a sentence, in the CPU's memory."""

    tokens: Tensor  # (T,), including EOS
    score: Tensor  # scalar: log-probability / length penalty + coverage penalty
    log_probs: Tensor  # (T,), natural logarithms
    attention: Tensor  # (T, S), over the source tokens without padding


class Translated(NamedTuple):
    """Sentence that has left the search."""

    sentence: int  # id given to `join`
    hypotheses: List[Hypothesis]  # n-best, best first


class RunningSearch:
    """Beam search over a changing set of sentences.

    Args:
        model: has `start(src_tokens)` and `step(tokens, state)`, such as search.ensemble.Ensemble; its states have
            `reorder`, `select_sentences` and `join_sentences`.
        rules: rules of the search, the same for all sentences.
        leaving_share: share of stopped sentences at which they are removed from the batch; 0 removes each at once.
    """

    def __init__(self, model, rules: BeamSearchRules, leaving_share: float = LEAVING_SHARE):
        self.model = model
        self.rules = rules
        self.leaving_share = leaving_share
        self._running: Optional[BeamState] = None
        self._state: Any = None  # of the model
        self._history = History()
        self._finished: List[FinishedHypotheses] = []
        self._translated: List[Translated] = []
        self._removed: Set[int] = set()  # sentences that stop at the next step and are not returned

    def __len__(self) -> int:
        """Returns the number of sentences in the batch, including stopped sentences that are not removed yet."""
        return 0 if self._running is None else len(self._running.sentence_ids)

    @torch.inference_mode()
    def join(self, ids: Tensor, src_tokens: Tensor, prefix: Optional[Tensor] = None) -> None:
        """Encodes sentences and adds them to the running batch.

        Args:
            ids: (B,), returned with the translations; must differ from the ids of running sentences.
            src_tokens: (B, S), padded on the right.
            prefix: (B, P), forced first target tokens; PAD means unconstrained.
        """
        pad = self.rules.special.pad
        prefix = src_tokens.new_empty(len(ids), 0) if prefix is None else prefix
        joining = self.rules.initial_state(ids, self._history.next_step, src_tokens.eq(pad), prefix)
        state = self.model.start(src_tokens)
        if self._running is None:
            self._running, self._state = joining, state
            return
        self._running = self._running.join(joining, pad)
        self._state = self._state.join_sentences(state, self._running.beam)

    @torch.inference_mode()
    def step(self) -> None:
        """Extends every running hypothesis by one token."""
        running, step = self._running, self._history.next_step
        assert running is not None, "no sentence has joined"
        probabilities, attention, self._state = self.model.step(running.tokens.flatten(), self._state)
        attention = attention[:, : running.coverage.size(2)]  # a model may keep columns that contain only padding
        running = running._replace(coverage=running.coverage + attention.reshape_as(running.coverage))
        self._history.append(running.as_beam_step(attention))
        candidates = self.rules.candidates(probabilities, running, self._history, step)
        del probabilities  # lets the next step reuse this memory while it is in the cache
        running, newly_finished = self.rules.finish(candidates, running, step)
        if newly_finished is not None:
            self._finished.append(newly_finished)
        running, stopped = self.rules.advance(candidates, running, step)
        self._update_batch(running, stopped)

    def take_translated(self) -> List[Translated]:
        """Returns the sentences that have left since the last call."""
        taken, self._translated = self._translated, []
        return taken

    def remove(self, ids: Sequence[int]) -> None:
        """Cancels sentences: they stop at the next step and are not returned. Unknown ids are ignored."""
        if self._running is None:
            return
        is_removed = torch.isin(self._running.sentence_ids, torch.tensor(ids, device=self._running.sentence_ids.device))
        self._removed.update(self._running.sentence_ids[is_removed].tolist())
        num_finished = self._running.num_finished.masked_fill(is_removed, self.rules.options.beam)
        self._running = self._running._replace(num_finished=num_finished)

    def _update_batch(self, running: BeamState, stopped: Tensor) -> None:
        num_stopped = int(stopped.sum())
        if not num_stopped or num_stopped < self.leaving_share * len(stopped):
            self._running, self._state = running, self._state.reorder(running.backpointers.flatten())
            return
        self._translated += self._backtrace_leaving(running.select(stopped.nonzero()[:, 0]))
        if num_stopped == len(stopped):
            self._running, self._state, self._history = None, None, History()
            return
        kept = (~stopped).nonzero()[:, 0]
        self._running = running.select(kept)
        self._state = self._state.select_sentences(kept).reorder(self._running.backpointers.flatten())
        self._history.forget_before(int(self._running.first_steps.min()))

    def _backtrace_leaving(self, leaving: BeamState) -> List[Translated]:
        """Backtraces the n-best hypotheses of sentences."""
        lengths = dict(zip(leaving.sentence_ids.tolist(), (~leaving.padding_mask).sum(dim=1).tolist()))
        widths = {sentence: length for sentence, length in lengths.items() if sentence not in self._removed}
        self._removed.difference_update(lengths)
        if not self._finished:  # only removed sentences leave before the first hypothesis is finished
            return []
        finished = FinishedHypotheses(*(torch.cat(parts).cpu() for parts in zip(*self._finished)))
        is_leaving = torch.isin(finished.sentence_ids, leaving.sentence_ids.cpu())
        self._finished = [FinishedHypotheses._make(part[~is_leaving] for part in finished)]
        if not widths:
            return []
        is_returned = torch.isin(finished.sentence_ids, torch.tensor(list(widths)))
        chosen = nbest(FinishedHypotheses._make(part[is_returned] for part in finished), self.rules.options)
        backtraced = self._history.backtrace(chosen, self.rules.special.eos)
        hypotheses: Dict[int, List[Hypothesis]] = {sentence: [] for sentence in widths}
        for index, (sentence, length) in enumerate(zip(chosen.sentence_ids.tolist(), chosen.lengths.tolist())):
            tokens, log_probs, attention = (part[index, :length] for part in backtraced)
            hypotheses[sentence].append(
                Hypothesis(tokens, chosen.scores[index], log_probs, attention[:, : widths[sentence]])
            )
        return [Translated(*item) for item in hypotheses.items()]


def nbest(finished: FinishedHypotheses, options: SearchOptions) -> FinishedHypotheses:
    """Returns the n-best hypotheses of each sentence, best first, without pruned hypotheses.

    Args:
        finished: finished hypotheses of any sentences.
        options: options, of which `nbest` and `prune_hypotheses` are used.
    """
    order = finished.scores.argsort(descending=True, stable=True)
    best: Dict[int, float] = {}
    counts: Dict[int, int] = {}
    chosen = []
    for index, sentence, score in zip(
        order.tolist(), finished.sentence_ids[order].tolist(), finished.scores[order].tolist()
    ):
        within = score >= best.setdefault(sentence, score) - (options.prune_hypotheses or math.inf)
        if within and counts.get(sentence, 0) < options.nbest:
            counts[sentence] = counts.get(sentence, 0) + 1
            chosen.append(index)
    return FinishedHypotheses._make(part[chosen] for part in finished)


def translate_batch(
    model, rules: BeamSearchRules, src_tokens: Tensor, prefix: Optional[Tensor] = None
) -> List[List[Hypothesis]]:
    """Translates a fixed batch.

    Args:
        model: has `start(src_tokens)` and `step(tokens, state)`, as for RunningSearch.
        rules: rules of the search.
        src_tokens: (B, S), padded on the right.
        prefix: (B, P), forced first target tokens; PAD means unconstrained.

    Returns:
        The n-best hypotheses of each sentence, best first.
    """
    search = RunningSearch(model, rules)
    search.join(torch.arange(len(src_tokens), device=src_tokens.device), src_tokens, prefix)
    found: Dict[int, List[Hypothesis]] = {}
    while len(search):
        search.step()
        found.update(search.take_translated())
    return [found[sentence] for sentence in range(len(src_tokens))]
