"""Where hypotheses came from: enough to write out any of them, with nothing moved while the search runs.

Shapes: N_t rows at step t, S source positions, F finished hypotheses, T their longest length.
"""
from typing import List, NamedTuple

import torch
from torch import Tensor


class Step(NamedTuple):
    """The rows that went into step t, and the attention that they got there."""

    parents: Tensor  # (N_t,), the row of step t - 1 that each row continues
    tokens: Tensor  # (N_t,), the last token of each row
    scores: Tensor  # (N_t,), log-probability of the row so far
    attention: Tensor  # (N_t, S)


class Finished(NamedTuple):
    """Hypotheses that chose the end mark at one step."""

    sentences: Tensor  # (F,), counted in the whole batch
    steps: Tensor  # (F,), the step at which they chose the end mark
    rows: Tensor  # (F,), their row of that step
    log_probs: Tensor  # (F,), with the end mark
    scores: Tensor  # (F,), log-probability / length penalty + coverage penalty


class Written(NamedTuple):
    """Finished hypotheses written out; what lies behind the end mark has no meaning."""

    tokens: Tensor  # (F, T), with the end mark
    log_probs: Tensor  # (F, T) of each token
    attention: Tensor  # (F, T, S)


def on_cpu(history: List[Step]) -> List[Step]:
    """Returns the history on the CPU, in four copies: the CPU waits for each copy from a GPU."""
    if history[0].tokens.device.type == "cpu":
        return history
    rows = [len(step.tokens) for step in history]
    return list(map(Step, *(torch.cat(part).cpu().split(rows) for part in zip(*history))))


def write_out(history: List[Step], finished: Finished, eos: int) -> Written:
    count, longest = len(finished.steps), len(history)
    tokens = torch.full((count, longest + 1), eos, device=finished.steps.device)
    # cumulative[:, t] is the log-probability of the first t tokens
    cumulative = finished.log_probs[:, None].repeat(1, longest + 1)
    attention = history[0].attention.new_zeros(count, longest, history[0].attention.size(1))
    rows = finished.rows.clone()
    for index in range(longest - 1, -1, -1):
        step = history[index]
        reached = (finished.steps >= index).nonzero()[:, 0]
        at = rows[reached]
        tokens[reached, index] = step.tokens[at]  # shifted by one: the token that went into the step
        cumulative[reached, index] = step.scores[at]
        attention[reached, index] = step.attention[at]
        rows[reached] = step.parents[at]
    return Written(tokens[:, 1:], cumulative.diff(dim=1), attention)


def prefixes(history: List[Step], rows: Tensor) -> Tensor:
    """The tokens (N, t) of rows (N,) of the last step, without the start mark."""
    tokens = []
    for step in reversed(history):
        tokens.append(step.tokens[rows])
        rows = step.parents[rows]
    return torch.stack(tokens[::-1], dim=1)[:, 1:]
