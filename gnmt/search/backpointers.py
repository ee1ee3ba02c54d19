"""Backpointers of a beam search: hypotheses are read off them at the end, and nothing is moved while the search runs.

Shapes: N_t rows at step t, S source positions, F finished hypotheses, T their longest length.
"""
from typing import List, NamedTuple

import torch
from torch import Tensor


class BeamStep(NamedTuple):
    """Input rows of step t, and the attention weights that the step computed for them."""

    parents: Tensor  # (N_t,), the row of step t - 1 that each row continues
    tokens: Tensor  # (N_t,), the last token of each row
    scores: Tensor  # (N_t,), log-probability of the row so far
    attention: Tensor  # (N_t, S)


class Finished(NamedTuple):
    """Finished hypotheses: the candidates that ended in EOS."""

    sentences: Tensor  # (F,), counted in the whole batch
    steps: Tensor  # (F,), the step that chose EOS
    rows: Tensor  # (F,), the row of that step that EOS continues
    log_probs: Tensor  # (F,), of the whole hypothesis, EOS included
    scores: Tensor  # (F,), log-probability / length penalty + coverage penalty


class Backtraced(NamedTuple):
    """Backtraced hypotheses; positions after EOS are undefined."""

    tokens: Tensor  # (F, T), EOS included
    log_probs: Tensor  # (F, T) of each token
    attention: Tensor  # (F, T, S)


def on_cpu(backpointers: List[BeamStep]) -> List[BeamStep]:
    """Returns the history on the CPU, in four copies: the CPU waits for each copy from a GPU."""
    if backpointers[0].tokens.device.type == "cpu":
        return backpointers
    rows = [len(step.tokens) for step in backpointers]
    return list(map(BeamStep, *(torch.cat(part).cpu().split(rows) for part in zip(*backpointers))))


def backtrace(backpointers: List[BeamStep], finished: Finished, eos: int) -> Backtraced:
    """Follows the backpointers of finished hypotheses from EOS to their first token."""
    count, longest = len(finished.steps), len(backpointers)
    tokens = torch.full((count, longest + 1), eos, device=finished.steps.device)
    # cumulative[:, t] is the log-probability of the first t tokens
    cumulative = finished.log_probs[:, None].repeat(1, longest + 1)
    attention = backpointers[0].attention.new_zeros(count, longest, backpointers[0].attention.size(1))
    rows = finished.rows.clone()
    for index in range(longest - 1, -1, -1):
        step = backpointers[index]
        reached = (finished.steps >= index).nonzero()[:, 0]
        at = rows[reached]
        tokens[reached, index] = step.tokens[at]  # shifted by one: the token that went into the step
        cumulative[reached, index] = step.scores[at]
        attention[reached, index] = step.attention[at]
        rows[reached] = step.parents[at]
    return Backtraced(tokens[:, 1:], cumulative.diff(dim=1), attention)


def prefixes(backpointers: List[BeamStep], rows: Tensor) -> Tensor:
    """Returns the tokens (N, t) of rows (N,) of the last step, without the first decoder token."""
    tokens = []
    for step in reversed(backpointers):
        tokens.append(step.tokens[rows])
        rows = step.parents[rows]
    return torch.stack(tokens[::-1], dim=1)[:, 1:]
