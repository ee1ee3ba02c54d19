"""Fast tanh, and activation functions whose result for an element does not depend on its position.

torch.sigmoid computes the last elements of each thread's share by another exponential function, so its last bits depend on
the size of the tensor and on the number of threads. torch.exp has one function for all elements.
"""
from typing import Callable, NamedTuple

import torch
from torch import Tensor


SLOW_TANH = ("AVX2", "DEFAULT")  # torch's sigmoid takes a third of the time of its tanh there, and more with AVX-512


def sigmoid_is_faster(inputs: Tensor) -> bool:
    """Whether tanh(x) = 2 sigmoid(2x) - 1 pays.

    In half precision the difference would lose what is left of small numbers.
    """
    if inputs.is_cuda or inputs.dtype not in (torch.float32, torch.float64):
        return False
    return torch.backends.cpu.get_cpu_capability() in SLOW_TANH


def tanh(inputs: Tensor) -> Tensor:
    if sigmoid_is_faster(inputs):
        return (2 * inputs).sigmoid_().mul_(2).sub_(1)
    return inputs.tanh()


def reproducible_sigmoid_of_negated_(inputs: Tensor) -> Tensor:
    """sigmoid(-x) = 1 / (1 + exp(x)), in place."""
    return inputs.exp_().add_(1).reciprocal_()


def reproducible_sigmoid_(inputs: Tensor) -> Tensor:
    return reproducible_sigmoid_of_negated_(inputs.neg_())


def reproducible_tanh(inputs: Tensor) -> Tensor:
    return reproducible_sigmoid_of_negated_(-2 * inputs).mul_(2).sub_(1)


class Activations(NamedTuple):
    sigmoid_: Callable[[Tensor], Tensor]  # in place
    tanh: Callable[[Tensor], Tensor]


FAST = Activations(torch.sigmoid_, tanh)
REPRODUCIBLE = Activations(reproducible_sigmoid_, reproducible_tanh)
