"""Beam search that sentences can join and leave at every step (continuous batching): the loop.

`beam_rules` has the rules of a step. A fixed batch is the special case without new sentences; `search_queue` adds
sentences while others leave. A translation does not depend on the schedule: steps are counted per sentence.

Shapes: B sentences, S source positions, T target positions, P tokens of the longest prefix.
"""

import math
from typing import Dict, List, Optional, Sequence, Set, Union

import torch
from torch import Tensor

from gnmt.network.attention import longest_source
from gnmt.search.backpointers import FinishedHypotheses, History
from gnmt.search.beam_rules import BeamSearchRules
from gnmt.search.beam_state import BeamState
from gnmt.search.options import SearchOptions
from gnmt.search.results import Hypothesis, SearchResult
from gnmt.search.search_queue import QueuedSentence, padded
from gnmt.search.step_model import LEAVING_SHARE, ModelState, StepModel


class BeamSearch:
    """Beam search over a changing set of sentences: a batch of `search_queue`.

    Args:
        model: model to search.
        rules: rules of the search, the same for all sentences.
        device: device of the model.
        leaving_share: share of stopped sentences at which they are removed from the batch; 0 removes each at once.
    """

    def __init__(
        self,
        model: StepModel,
        rules: BeamSearchRules,
        device: Union[torch.device, str] = "cpu",
        leaving_share: float = LEAVING_SHARE,
    ):
        self.model = model
        self.rules = rules
        self.device = torch.device(device)
        self.leaving_share = leaving_share
        self._running: Optional[BeamState] = None
        self._model_state: Optional[ModelState] = None
        self._history = History()
        self._finished: List[FinishedHypotheses] = []  # of sentences that have not left
        self._removed: Set[int] = set()  # ids of sentences that stop at the next step and are not returned

    def __len__(self) -> int:
        """Returns the number of sentences in the batch, including stopped sentences that are not removed yet."""
        return 0 if self._running is None else len(self._running.sentence_ids)

    def join(self, sentences: Sequence[QueuedSentence]) -> None:
        """Encodes sentences and adds them to the running batch; their ids must differ from the ids in the batch."""
        pad = self.rules.special.pad
        ids = torch.tensor([sentence.id for sentence in sentences], device=self.device)
        sources = padded([sentence.source for sentence in sentences], pad, self.device)
        prefix = padded([sentence.prefix for sentence in sentences], pad, self.device)
        self.join_batch(ids, sources, prefix)

    @torch.inference_mode()
    def join_batch(self, ids: Tensor, src_tokens: Tensor, prefix: Optional[Tensor] = None) -> None:
        """Encodes sentences and adds them to the running batch, as `join` does.

        Args:
            ids: (B,), returned with the hypotheses.
            src_tokens: (B, S), padded on the right.
            prefix: (B, P), forced first target tokens; PAD means unconstrained.
        """
        pad = self.rules.special.pad
        prefix = src_tokens.new_empty(len(ids), 0) if prefix is None else prefix
        src_tokens = src_tokens[:, : longest_source(src_tokens.eq(pad))]
        joining = self.rules.initial_state(ids, self._history.next_step, src_tokens.eq(pad), prefix)
        model_state = self.model.start(src_tokens)
        if self._running is None or self._model_state is None:
            self._running, self._model_state = joining, model_state
            return
        self._running = self._running.join(joining, pad)
        self._model_state = self._model_state.join_sentences(model_state, self._running.beam)

    @torch.inference_mode()
    def step(self) -> List[SearchResult]:
        """Extends every running hypothesis by one token, and returns the sentences that leave."""
        running, step = self._running, self._history.next_step
        assert running is not None, "no sentence has joined"
        probabilities, attention, model_state = self.model.step(running.tokens.flatten(), self._model_state)
        self._model_state = model_state  # frees the previous state
        attention = attention[:, : running.coverage.size(2)]  # a model may keep columns that contain only padding
        running = running._replace(coverage=running.coverage + attention.reshape_as(running.coverage))
        self._history.append(running.as_beam_step(attention))
        candidates = self.rules.candidates(probabilities, running, self._history, step)
        del probabilities  # lets the next step reuse this memory while it is in the cache
        running, newly_finished = self.rules.finish(candidates, running, step)
        if newly_finished is not None:
            self._finished.append(newly_finished)
        running, stopped = self.rules.advance(candidates, running, step)
        return self._update_batch(running, model_state, stopped)

    def remove(self, ids: Sequence[int]) -> None:
        """Cancels sentences: they stop at the next step and are not returned. Unknown ids are ignored."""
        if self._running is None:
            return
        is_removed = torch.isin(self._running.sentence_ids, torch.tensor(ids, device=self.device))
        self._removed.update(self._running.sentence_ids[is_removed].tolist())
        num_finished = self._running.num_finished.masked_fill(is_removed, self.rules.options.beam)
        self._running = self._running._replace(num_finished=num_finished)

    def _update_batch(self, running: BeamState, model_state: ModelState, stopped: Tensor) -> List[SearchResult]:
        """Stores the rows of the next step; removes and returns stopped sentences if there are enough.

        Args:
            running: hypotheses that continue.
            model_state: state of the model after the step.
            stopped: (B,), True for stopped sentences.
        """
        num_stopped = int(stopped.sum())
        if not num_stopped or num_stopped < self.leaving_share * len(stopped):
            self._running, self._model_state = running, model_state.reorder(running.backpointers.flatten())
            return []
        results = self._backtrace_leaving(running.select(stopped.nonzero()[:, 0]))
        if num_stopped == len(stopped):
            self._running, self._model_state, self._history = None, None, History()
            return results
        kept = (~stopped).nonzero()[:, 0]
        self._running = running.select(kept)
        self._model_state = model_state.select_sentences(kept).reorder(self._running.backpointers.flatten())
        self._history.forget_before(int(self._running.first_steps.min()))
        return results

    def _backtrace_leaving(self, leaving: BeamState) -> List[SearchResult]:
        """Returns the n-best hypotheses of sentences that leave, except for removed sentences."""
        source_lengths = dict(zip(leaving.sentence_ids.tolist(), (~leaving.padding_mask).sum(dim=1).tolist()))
        returned = [sentence_id for sentence_id in source_lengths if sentence_id not in self._removed]
        self._removed.difference_update(source_lengths)
        if not self._finished:  # only removed sentences leave before the first hypothesis is finished
            return []
        finished = FinishedHypotheses(*(torch.cat(parts).cpu() for parts in zip(*self._finished)))
        is_leaving = torch.isin(finished.sentence_ids, leaving.sentence_ids.cpu())
        self._finished = [FinishedHypotheses._make(part[~is_leaving] for part in finished)]
        if not returned:
            return []
        is_returned = torch.isin(finished.sentence_ids, torch.tensor(returned))
        chosen = nbest(FinishedHypotheses._make(part[is_returned] for part in finished), self.rules.options)
        backtraced = self._history.backtrace(chosen, self.rules.special.eos)
        hypotheses: Dict[int, List[Hypothesis]] = {sentence_id: [] for sentence_id in returned}
        for index, (sentence_id, length) in enumerate(zip(chosen.sentence_ids.tolist(), chosen.lengths.tolist())):
            tokens, log_probs, attention = (part[index, :length] for part in backtraced)
            attention = attention[:, : source_lengths[sentence_id]]
            hypotheses[sentence_id].append(Hypothesis(tokens, chosen.scores[index], log_probs, attention))
        return [SearchResult(*item) for item in hypotheses.items()]


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
    for index, sentence_id, score in zip(
        order.tolist(), finished.sentence_ids[order].tolist(), finished.scores[order].tolist()
    ):
        within = score >= best.setdefault(sentence_id, score) - (options.prune_hypotheses or math.inf)
        if within and counts.get(sentence_id, 0) < options.nbest:
            counts[sentence_id] = counts.get(sentence_id, 0) + 1
            chosen.append(index)
    return FinishedHypotheses._make(part[chosen] for part in finished)


def translate_batch(
    model: StepModel, rules: BeamSearchRules, src_tokens: Tensor, prefix: Optional[Tensor] = None
) -> List[List[Hypothesis]]:
    """Translates a fixed batch.

    Args:
        model: model to search.
        rules: rules of the search.
        src_tokens: (B, S), padded on the right.
        prefix: (B, P), forced first target tokens; PAD means unconstrained.

    Returns:
        The n-best hypotheses of each sentence, best first.
    """
    search = BeamSearch(model, rules, src_tokens.device)
    search.join_batch(torch.arange(len(src_tokens), device=src_tokens.device), src_tokens, prefix)
    results: Dict[int, List[Hypothesis]] = {}
    while len(search):
        results.update(search.step())
    return [results[sentence_id] for sentence_id in range(len(src_tokens))]
