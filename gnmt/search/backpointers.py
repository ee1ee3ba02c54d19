"""Backpointers of a running search, from which any hypothesis can be backtraced; no token histories are copied.

Steps are numbered from 0 over the lifetime of the search. The first step of a sentence is the step at which it joins.

Shapes: N_t rows at step t, S_t source positions, F finished hypotheses, T tokens of the longest of them.
"""

from collections import deque
from typing import Deque, List, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

NO_TOKEN = -1  # padding of prefixes, before the first token of a shorter hypothesis


class BeamStep(NamedTuple):
    """Input rows of one step, and their attention weights."""

    parents: Tensor  # (N_t,), row of the previous step that each row extends
    tokens: Tensor  # (N_t,), last token of each row
    scores: Tensor  # (N_t,), cumulative log-probability of each row
    attention: Tensor  # (N_t, S_t)


class FinishedHypotheses(NamedTuple):
    """Hypotheses that have emitted EOS."""

    sentences: Tensor  # (F,), ids of their sentences
    first_steps: Tensor  # (F,), step at which the sentence joined
    last_steps: Tensor  # (F,), step at which EOS was chosen
    rows: Tensor  # (F,), row of that step
    log_probs: Tensor  # (F,), including EOS
    scores: Tensor  # (F,), log-probability / length penalty + coverage penalty

    @property
    def lengths(self) -> Tensor:
        """Number of tokens including EOS, (F,)."""
        return self.last_steps - self.first_steps + 1


class Backtraced(NamedTuple):
    """Tokens, log-probabilities and attention of hypotheses; positions after EOS are undefined."""

    tokens: Tensor  # (F, T), including EOS
    log_probs: Tensor  # (F, T) of each token
    attention: Tensor  # (F, T, S)


class History:
    """Steps through which hypotheses of running sentences can still be backtraced."""

    def __init__(self) -> None:
        self._steps: Deque[BeamStep] = deque()
        self._first = 0  # number of the oldest stored step

    @property
    def next_step(self) -> int:
        """Number of the step that the next `append` adds."""
        return self._first + len(self._steps)

    def append(self, step: BeamStep) -> None:
        """Adds the next step."""
        self._steps.append(step)

    def forget_before(self, step: int) -> None:
        """Drops the steps before `step`, at which the oldest running sentence joined."""
        while self._first < step and self._steps:
            self._steps.popleft()
            self._first += 1

    def prefixes(self, num_tokens: Tensor) -> Tensor:
        """Returns the tokens (N, t) of all rows of the last step, oldest first.

        Args:
            num_tokens: (N,), number of tokens of each row; shorter rows begin with NO_TOKEN.
        """
        longest = int(num_tokens.max())
        rows = torch.arange(len(num_tokens), device=num_tokens.device)
        tokens = []
        for distance in range(longest):
            step = self._steps[-1 - distance]
            is_valid = num_tokens > distance
            rows = torch.where(is_valid, rows, 0)
            tokens.append(step.tokens[rows].masked_fill(~is_valid, NO_TOKEN))
            rows = step.parents[rows]
        return torch.stack(tokens[::-1], dim=1) if tokens else num_tokens.new_empty(len(num_tokens), 0)

    def backtrace(self, finished: FinishedHypotheses, eos: int) -> Backtraced:
        """Follows the backpointers of finished hypotheses from EOS to their first token.

        Args:
            finished: hypotheses, on the CPU.
            eos: id of EOS.
        """
        span = _span(finished)
        steps = on_cpu([self._steps[number - self._first] for number in span])
        width = max(step.attention.size(1) for step in steps)
        offsets = finished.first_steps - span.start
        columns = torch.arange(len(span), device=finished.rows.device)
        is_valid = (columns >= offsets[:, None]) & (columns <= (finished.last_steps - span.start)[:, None])
        # A column is a step. Values of hypotheses that are not part of a step are gathered too, and dropped below.
        tokens = torch.empty_like(is_valid, dtype=torch.long)
        scores = finished.log_probs.new_empty(is_valid.shape)
        attention = steps[0].attention.new_zeros(*is_valid.shape, width)
        rows = finished.rows
        for column, step in zip(reversed(range(len(span))), reversed(steps)):
            rows_here = torch.where(is_valid[:, column], rows, 0)
            tokens[:, column] = step.tokens[rows_here]  # input token of the step
            scores[:, column] = step.scores[rows_here]
            attention[:, column, : step.attention.size(1)] = step.attention[rows_here]
            rows = torch.where(is_valid[:, column], step.parents[rows_here], rows)

        positions = torch.arange(int(finished.lengths.max()) + 1, device=rows.device)
        is_valid = positions < finished.lengths[:, None]
        own_columns = (positions + offsets[:, None]).clamp(max=len(span) - 1)
        tokens = tokens.gather(1, own_columns).where(is_valid, eos)
        # cumulative[:, t] is the log-probability of the first t tokens
        cumulative = scores.gather(1, own_columns).where(is_valid, finished.log_probs[:, None])
        attention = attention.gather(1, own_columns[:, :-1, None].expand(-1, -1, width))
        attention = attention.masked_fill(~is_valid[:, :-1, None], 0)
        return Backtraced(tokens[:, 1:], cumulative.diff(dim=1), attention)


def on_cpu(steps: List[BeamStep]) -> List[BeamStep]:
    """Returns steps on the CPU, with one copy per group of parts of equal width, because every copy blocks the CPU."""
    if steps[0].tokens.device.type == "cpu":
        return steps
    rows = [len(step.tokens) for step in steps]
    parents, tokens, scores = (torch.cat(part).cpu().split(rows) for part in list(zip(*steps))[:3])
    width = max(step.attention.size(1) for step in steps)
    widened = torch.cat([F.pad(step.attention, (0, width - step.attention.size(1))) for step in steps])
    return list(map(BeamStep, parents, tokens, scores, widened.cpu().split(rows)))


def _span(finished: FinishedHypotheses) -> range:
    """Returns the range of steps from the first to the last step of the hypotheses."""
    return range(int(finished.first_steps.min()), int(finished.last_steps.max()) + 1)
