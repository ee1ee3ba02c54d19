"""Log-probabilities of given translations, with the precision, ensemble and temperature of a search.

Shapes: B sentences, S source positions, T target positions, V vocabulary size.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from gnmt.search.step_model import StepModel


class ForcedDecoding(NamedTuple):
    """Log-probabilities and attention weights of given translations."""

    log_probs: Tensor  # (B, T), log P(target_t | targets before t, source), float32, natural; 0 at padding
    attention: Tensor  # (B, T, S)


@torch.no_grad()
def force_decode(
    model: StepModel, src_tokens: Tensor, prev_output_tokens: Tensor, target: Tensor, pad: int
) -> ForcedDecoding:
    """Feeds a given target to the decoder, and returns the log-probability of each of its tokens.

    Args:
        model: model that computes the probabilities.
        src_tokens: (B, S), padded on the right.
        prev_output_tokens: (B, T), decoder inputs: the first token of decoding, then the target.
        target: (B, T), padded on the right.
        pad: id of PAD.
    """
    state = model.start(src_tokens)
    columns, rows = [], []
    for tokens, expected in zip(prev_output_tokens.unbind(dim=1), target.unbind(dim=1)):
        probabilities, attention, state = model.step(tokens, state)
        columns.append(probabilities.gather(1, expected[:, None]))
        rows.append(attention)
    log_probs = torch.cat(columns, dim=1).log().masked_fill(target.eq(pad), 0.0)
    return ForcedDecoding(log_probs, torch.stack(rows, dim=1))
