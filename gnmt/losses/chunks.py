"""Common parts of losses that are fused with the output projection: chunks of tokens and gradients.

Such a loss computes the logits of one chunk of tokens at a time. Its gradients are computed and stored in the forward
pass, or computed in the backward pass from recomputed logits.

Shapes: n tokens of a chunk, V vocabulary size, C columns of the logits: V, or V' in one process.
"""

from typing import Any, List, Optional, Tuple

from torch import Tensor

CHUNK_TOKENS = 1024  # tokens whose float32 logits are stored together: enough for full matrix-multiplication speed


def chunks(tokens: int, size: int) -> List[slice]:
    """Returns slices of `size` tokens; the last one may be shorter."""
    return [slice(start, start + size) for start in range(0, tokens, size)]


def minus_smoothed_target(
    probabilities: Tensor, columns: Tensor, smoothing: float, vocabulary_size: int, is_local: Optional[Tensor] = None
) -> Tensor:
    """Returns the gradient of the loss with respect to the logits, softmax - (1 - e) onehot - e / V, in place.

    Args:
        probabilities: (n, C), softmax of the logits; overwritten.
        columns: (n,), columns of the targets.
        smoothing: label smoothing e.
        vocabulary_size: V.
        is_local: (n,), True if the target is among the columns; None means that all are.
    """
    minus_target = probabilities.new_full((len(columns), 1), smoothing - 1)
    if is_local is not None:
        minus_target.mul_(is_local[:, None])
    return probabilities.scatter_add_(1, columns[:, None], minus_target).sub_(smoothing / vocabulary_size)


def take_gradients(ctx: Any, scale: Tensor) -> Tuple[Tensor, ...]:
    """Returns the gradients stored by the forward pass, times the gradient of the loss, and frees their memory.

    Args:
        ctx: context of a torch.autograd.Function, with the tensors as `gradients`.
        scale: gradient of the loss, a scalar.

    Raises:
        RuntimeError: if the gradients have been taken before.
    """
    if ctx.gradients is None:
        raise RuntimeError("The fused loss supports one backward pass. Compute the loss again.")
    gradients, ctx.gradients = ctx.gradients, None
    if scale.device.type != "cpu" or scale != 1:  # reading the scale on a GPU would block the CPU
        for gradient in gradients:
            gradient.mul_(scale)
    return gradients
