"""tanh where torch's is slow."""
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
