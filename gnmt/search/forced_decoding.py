"""Scores of given translations, computed like those of the search: with its precision, ensemble and temperature.

Shapes: B sentences, T target positions.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class ForcedDecoding(NamedTuple):
    """Scores of given translations."""

    log_probs: Tensor  # (B, T), log P(target_t | targets before t, source), float32, natural; 0 at padding
    attention: Tensor  # (B, T, S)


@torch.no_grad()
def force_decode(model, src_tokens: Tensor, prev_output_tokens: Tensor, target: Tensor, pad: int) -> ForcedDecoding:
    """Decodes with the target given.

    Args:
        model: has `start(src_tokens)` and `step(tokens, state)`, such as search.ensemble.Ensemble.
        src_tokens: (B, S), padded on the right.
        prev_output_tokens: (B, T), the tokens that the decoder reads: the first token of decoding, then the target.
        target: (B, T), padded on the right.
        pad: the PAD token.
    """
    state = model.start(src_tokens)
    columns, rows = [], []
    for read, wanted in zip(prev_output_tokens.unbind(dim=1), target.unbind(dim=1)):
        probabilities, attention, state = model.step(read, state)
        columns.append(probabilities.gather(1, wanted[:, None]))
        rows.append(attention)
    log_probs = torch.cat(columns, dim=1).log().masked_fill(target.eq(pad), 0.0)
    return ForcedDecoding(log_probs, torch.stack(rows, dim=1))


def reference_log_probs(model, src_tokens: Tensor, prev_output_tokens: Tensor, target: Tensor, pad: int) -> Tensor:
    """Returns only the log-probabilities (B, T) of `force_decode`."""
    return force_decode(model, src_tokens, prev_output_tokens, target, pad).log_probs
