"""What tells whether two contenders train the same network."""
import math
from typing import Callable, NamedTuple

from torch import Tensor, nn


class LossAndGradient(NamedTuple):
    """The norm is Euclidean, of all weights but embeddings: NVIDIA's begin mark has a row of its own, ours is the end mark's."""

    loss: float
    gradient_norm: float


def loss_and_gradient(model: nn.Module, loss_of_first_batch: Callable[[], Tensor]) -> LossAndGradient:
    """Without dropout; leaves the model in training mode, and without gradients."""
    model.eval()
    loss = loss_of_first_batch()
    loss.backward()
    squares = sum(
        float(parameter.grad.double().square().sum())
        for name, parameter in model.named_parameters()
        if "embed" not in name and parameter.grad is not None
    )
    model.zero_grad()
    model.train()
    return LossAndGradient(loss.item(), math.sqrt(squares))
