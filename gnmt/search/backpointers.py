"""Backpointers of a running search: enough to backtrace any hypothesis, with nothing moved while the search runs.

Steps are counted from 0 over the whole life of the search; a sentence joins at some step, its first.
Shapes: N_t rows at step t, S_t source positions, F hypotheses, T tokens of the longest of them.
"""

from collections import deque
from typing import Deque, List, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

NO_TOKEN = -1  # in prefixes, before the first token of a younger hypothesis


class BeamStep(NamedTuple):
    """Rows that went into one step, and their attention there."""

    parents: Tensor  # (N_t,), row of the previous step that each row extends
    tokens: Tensor  # (N_t,), last token of each row
    scores: Tensor  # (N_t,), log-probability of each row so far
    attention: Tensor  # (N_t, S_t)


class FinishedHypotheses(NamedTuple):
    """Hypotheses that have emitted EOS."""

    sentences: Tensor  # (F,), ids of their sentences
    first_steps: Tensor  # (F,), step at which the sentence joined
    last_steps: Tensor  # (F,), step at which EOS was chosen
    rows: Tensor  # (F,), row of that step
    log_probs: Tensor  # (F,), EOS included
    scores: Tensor  # (F,), log-probability / length penalty + coverage penalty

    @property
    def lengths(self) -> Tensor:
        """(F,), tokens with EOS."""
        return self.last_steps - self.first_steps + 1


class Backtraced(NamedTuple):
    """Hypotheses in full; positions after EOS are undefined."""

    tokens: Tensor  # (F, T), EOS included
    log_probs: Tensor  # (F, T) of each token
    attention: Tensor  # (F, T, S)


class History:
    """Steps that hypotheses of running sentences can still be traced through."""

    def __init__(self) -> None:
        self._steps: Deque[BeamStep] = deque()
        self._first = 0  # number of the oldest step that is kept

    @property
    def next_step(self) -> int:
        """Number of the step that `append` takes next."""
        return self._first + len(self._steps)

    def append(self, step: BeamStep) -> None:
        """Adds the next step."""
        self._steps.append(step)

    def forget_before(self, step: int) -> None:
        """Drops the steps before `step`, at which the oldest running sentence joined."""
        while self._first < step and self._steps:
            self._steps.popleft()
            self._first += 1

    def prefixes(self, ages: Tensor) -> Tensor:
        """Returns the tokens (N, t) of all rows of the last step, oldest first.

        ages (N,): number of tokens of each row; shorter rows begin with NO_TOKEN.
        """
        longest = int(ages.max())
        rows = torch.arange(len(ages), device=ages.device)
        tokens = []
        for distance in range(longest):
            step = self._steps[-1 - distance]
            is_own = ages > distance
            rows = torch.where(is_own, rows, 0)
            tokens.append(step.tokens[rows].masked_fill(~is_own, NO_TOKEN))
            rows = step.parents[rows]
        return torch.stack(tokens[::-1], dim=1) if tokens else ages.new_empty(len(ages), 0)

    def backtrace(self, finished: FinishedHypotheses, eos: int) -> Backtraced:
        """Follows the backpointers of finished hypotheses, which are on the CPU, from EOS to their first token."""
        span = _span(finished)
        steps = on_cpu([self._steps[number - self._first] for number in span])
        width = max(step.attention.size(1) for step in steps)
        offsets = finished.first_steps - span.start
        columns = torch.arange(len(span), device=finished.rows.device)
        alive = (columns >= offsets[:, None]) & (columns <= (finished.last_steps - span.start)[:, None])
        # A column is a step. Rows of hypotheses that did not go through the step are read, too, and dropped below.
        tokens = torch.empty_like(alive, dtype=torch.long)
        scores = finished.log_probs.new_empty(alive.shape)
        attention = steps[0].attention.new_zeros(*alive.shape, width)
        rows = finished.rows
        for column, step in zip(reversed(range(len(span))), reversed(steps)):
            rows_here = torch.where(alive[:, column], rows, 0)
            tokens[:, column] = step.tokens[rows_here]  # the token that went into the step
            scores[:, column] = step.scores[rows_here]
            attention[:, column, : step.attention.size(1)] = step.attention[rows_here]
            rows = torch.where(alive[:, column], step.parents[rows_here], rows)

        positions = torch.arange(int(finished.lengths.max()) + 1, device=rows.device)
        is_own = positions < finished.lengths[:, None]
        own_columns = (positions + offsets[:, None]).clamp(max=len(span) - 1)
        tokens = tokens.gather(1, own_columns).where(is_own, eos)
        # cumulative[:, t] is the log-probability of the first t tokens
        cumulative = scores.gather(1, own_columns).where(is_own, finished.log_probs[:, None])
        attention = attention.gather(1, own_columns[:, :-1, None].expand(-1, -1, width))
        attention = attention.masked_fill(~is_own[:, :-1, None], 0)
        return Backtraced(tokens[:, 1:], cumulative.diff(dim=1), attention)


def on_cpu(steps: List[BeamStep]) -> List[BeamStep]:
    """Returns steps on the CPU, in one copy for each of their parts of equal width: the CPU waits for each copy."""
    if steps[0].tokens.device.type == "cpu":
        return steps
    rows = [len(step.tokens) for step in steps]
    parents, tokens, scores = (torch.cat(part).cpu().split(rows) for part in list(zip(*steps))[:3])
    width = max(step.attention.size(1) for step in steps)
    widened = torch.cat([F.pad(step.attention, (0, width - step.attention.size(1))) for step in steps])
    return list(map(BeamStep, parents, tokens, scores, widened.cpu().split(rows)))


def _span(finished: FinishedHypotheses) -> range:
    """Steps that at least one of the hypotheses went through, in one range."""
    return range(int(finished.first_steps.min()), int(finished.last_steps.max()) + 1)
