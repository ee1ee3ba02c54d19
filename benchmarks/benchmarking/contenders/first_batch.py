"""Figures that show whether two contenders train the same network."""

import math
from contextlib import contextmanager
from typing import Callable, Iterator, NamedTuple

from torch import Tensor, nn


class LossAndGradient(NamedTuple):
    """The norm is Euclidean, of all weights but embeddings: NVIDIA's BOS has a row of its own, ours is EOS's."""

    loss: float
    gradient_norm: float


def loss_and_gradient(model: nn.Module, loss_of_first_batch: Callable[[], Tensor]) -> LossAndGradient:
    """Without dropout; leaves the model in training mode, and without gradients."""
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
    """Evaluation mode but for recurrent layers, which cuDNN has no gradient of then; training mode afterwards."""
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
