"""Backpointers of a running search, from which any hypothesis can be backtraced; no token histories are copied.

Steps are numbered from 0 over the lifetime of the search. The first step of a sentence is the step at which it joins.

Shapes: N_t rows at step t, S_t source positions, F finished hypotheses, T tokens of the longest of them.
"""

from collections import deque
from typing import Deque, List, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

NO_TOKEN = -1  # padding before the first token of a shorter hypothesis


class BeamStep(NamedTuple):
    """Input rows of one step, and their attention weights."""

    backpointers: Tensor  # (N_t,), row of the previous step that each row continues
    tokens: Tensor  # (N_t,), last token of each row
    log_probs: Tensor  # (N_t,), cumulative log-probability of each row
    attention: Tensor  # (N_t, S_t)


class FinishedHypotheses(NamedTuple):
    """Hypotheses that have emitted EOS."""

    sentence_ids: Tensor  # (F,)
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

    def generated_tokens(self, num_tokens: Tensor) -> Tensor:
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
            rows = step.backpointers[rows]
        return torch.stack(tokens[::-1], dim=1) if tokens else num_tokens.new_empty(len(num_tokens), 0)

    def backtrace(self, finished: FinishedHypotheses, eos: int) -> Backtraced:
        """Follows the backpointers of finished hypotheses from EOS to their first token.

        Args:
            finished: hypotheses, on the CPU.
            eos: id of EOS.
        """
        span = range(int(finished.first_steps.min()), int(finished.last_steps.max()) + 1)
        steps = on_cpu([self._steps[number - self._first] for number in span])
        return _aligned_by_token(_gathered_by_step(steps, finished, span.start), finished, span.start, eos)


def _gathered_by_step(steps: List[BeamStep], finished: FinishedHypotheses, first: int) -> Backtraced:
    """Returns the input tokens, cumulative log-probabilities and attention of hypotheses; column t is step first + t.

    Hypotheses that did not run at a step gather row 0 there. `_aligned_by_token` drops these values.

    Args:
        steps: consecutive steps, oldest first.
        finished: finished hypotheses.
        first: number of the first step.
    """
    columns = torch.arange(first, first + len(steps), device=finished.rows.device)
    is_running = (columns >= finished.first_steps[:, None]) & (columns <= finished.last_steps[:, None])
    tokens = torch.empty_like(is_running, dtype=torch.long)
    log_probs = finished.log_probs.new_empty(is_running.shape)
    attention = steps[0].attention.new_zeros(*is_running.shape, max(step.attention.size(1) for step in steps))
    rows = finished.rows
    for column, step in zip(reversed(range(len(steps))), reversed(steps)):
        rows_here = torch.where(is_running[:, column], rows, 0)
        tokens[:, column] = step.tokens[rows_here]
        log_probs[:, column] = step.log_probs[rows_here]
        attention[:, column, : step.attention.size(1)] = step.attention[rows_here]
        rows = torch.where(is_running[:, column], step.backpointers[rows_here], rows)
    return Backtraced(tokens, log_probs, attention)


def _aligned_by_token(by_step: Backtraced, finished: FinishedHypotheses, first: int, eos: int) -> Backtraced:
    """Returns the output tokens, their log-probabilities and attention; column t is token t of a hypothesis.

    Args:
        by_step: result of `_gathered_by_step`.
        finished: finished hypotheses.
        first: number of the step in column 0 of `by_step`.
        eos: id of EOS.
    """
    positions = torch.arange(int(finished.lengths.max()) + 1, device=finished.rows.device)
    is_input = positions < finished.lengths[:, None]  # inputs are the decoder start and all tokens except EOS
    columns = (positions + (finished.first_steps - first)[:, None]).clamp(max=by_step.tokens.size(1) - 1)
    tokens = by_step.tokens.gather(1, columns).where(is_input, eos)
    # cumulative[:, t] is the log-probability of the first t tokens
    cumulative = by_step.log_probs.gather(1, columns).where(is_input, finished.log_probs[:, None])
    attention = by_step.attention.gather(1, columns[:, :-1, None].expand(-1, -1, by_step.attention.size(2)))
    attention = attention.masked_fill(~is_input[:, :-1, None], 0)
    return Backtraced(tokens[:, 1:], cumulative.diff(dim=1), attention)


def on_cpu(steps: List[BeamStep]) -> List[BeamStep]:
    """Returns steps on the CPU, with one copy per group of parts of equal width, because every copy blocks the CPU."""
    if steps[0].tokens.device.type == "cpu":
        return steps
    rows = [len(step.tokens) for step in steps]
    backpointers, tokens, log_probs = (torch.cat(part).cpu().split(rows) for part in list(zip(*steps))[:3])
    width = max(step.attention.size(1) for step in steps)
    widened = torch.cat([F.pad(step.attention, (0, width - step.attention.size(1))) for step in steps])
    return list(map(BeamStep, backpointers, tokens, log_probs, widened.cpu().split(rows)))
