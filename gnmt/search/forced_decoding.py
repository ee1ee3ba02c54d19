"""Log-probabilities of given translations, with the precision, ensemble and temperature of the search.

Shapes: B sentences, T target positions.
"""
import torch
from torch import Tensor


@torch.no_grad()
def reference_log_probs(
    model, src_tokens: Tensor, src_lengths: Tensor, prev_output_tokens: Tensor, target: Tensor, pad: int
) -> Tensor:
    """Returns log P(target_t | targets before t, source), (B, T), float32, natural; 0 at PAD, which is on the right.

    model has start(src_tokens, src_lengths) and step(tokens, state), as search.ensemble.Ensemble. prev_output_tokens
    (B, T) is the target shifted by one position, with the first decoder token before it.
    """
    state = model.start(src_tokens, src_lengths)
    columns = []
    for read, wanted in zip(prev_output_tokens.unbind(dim=1), target.unbind(dim=1)):
        probabilities, _, state = model.step(read, state)
        columns.append(probabilities.gather(1, wanted[:, None]))
    return torch.cat(columns, dim=1).log().masked_fill(target.eq(pad), 0.0)
