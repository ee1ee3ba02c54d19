"""Label-smoothed cross-entropy from the logits of all tokens; autograd computes the gradients."""

from typing import Tuple

import torch
from torch import Tensor


def plain_label_smoothed_loss(logits: Tensor, target: Tensor, smoothing: float) -> Tuple[Tensor, Tensor]:
    """Returns the label-smoothed loss and the nll from logits, without fusion.

    Args:
        logits: (N, V).
        target: (N,).
        smoothing: e.
    """
    log_probs = logits.log_softmax(dim=-1, dtype=torch.promote_types(logits.dtype, torch.float32))
    nll = -log_probs.gather(1, target[:, None]).sum()
    uniform = -log_probs.mean(dim=-1).sum()
    return (1 - smoothing) * nll + smoothing * uniform, nll.detach()
