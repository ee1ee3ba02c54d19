"""Figures that show whether two contenders train the same network."""

import math
from contextlib import contextmanager
from typing import Callable, Iterator, NamedTuple

from torch import Tensor, nn


class LossAndGradient(NamedTuple):
    """Loss, and Euclidean norm of the gradient without embeddings: NVIDIA has a separate row for BOS, we have not."""

    loss: float
    gradient_norm: float


def loss_and_gradient(model: nn.Module, loss_of_first_batch: Callable[[], Tensor]) -> LossAndGradient:
    """Computes both without dropout; leaves the model in training mode, and without gradients.

    Args:
        model: network to run.
        loss_of_first_batch: computes the loss of the first batch.
    """
    with without_dropout(model):
        loss = loss_of_first_batch()
        loss.backward()
    squares = sum(
        float(parameter.grad.double().square().sum())
        for name, parameter in model.named_parameters()
        if "embed" not in name and parameter.grad is not None
    )
    model.zero_grad()
    return LossAndGradient(loss.item(), math.sqrt(squares))


@contextmanager
def without_dropout(model: nn.Module) -> Iterator[None]:
    """Sets evaluation mode, except for recurrent layers: cuDNN cannot back-propagate in it. Restores training mode."""
    layers = [module for module in model.modules() if isinstance(module, nn.RNNBase)]
    dropouts = [layer.dropout for layer in layers]
    model.eval()
    for layer in layers:
        layer.train()
        layer.dropout = 0.0
    yield
    for layer, dropout in zip(layers, dropouts):
        layer.dropout = dropout
    model.train()
