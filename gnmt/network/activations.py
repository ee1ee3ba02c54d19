"""Fast tanh, and sigmoid and tanh with bitwise equal results for an element at every position of a tensor.

torch.sigmoid computes most elements in vector instructions. The remaining elements of a tensor, or of the part that one
thread computes, use a different exponential function. The last bits of an element therefore depend on its position, the
size of the tensor and the number of threads.
"""

from typing import Callable, NamedTuple

import torch
from torch import Tensor

from gnmt.machine import processor

VECTOR_ELEMENTS = 32  # a multiple of the number of elements that torch computes in one vector instruction
GRAIN_SIZE = 32768  # minimum number of elements per thread (at::internal::GRAIN_SIZE)
SLOW_TANH = ("AVX2", "DEFAULT")  # instruction sets where torch's sigmoid takes a third of the time of its tanh


def sigmoid_is_faster(inputs: Tensor) -> bool:
    """Returns True if 2 sigmoid(2x) - 1 is faster than tanh(x) in training.

    Half precision always uses tanh: the subtraction would lose the digits of small results.
    """
    if inputs.is_cuda or inputs.dtype not in (torch.float32, torch.float64):
        return False
    return torch.backends.cpu.get_cpu_capability() in SLOW_TANH


def sigmoid_is_faster_in_decoding(inputs: Tensor) -> bool:
    """Returns True if 2 sigmoid(2x) - 1 is faster than tanh(x) in decoding.

    Includes AMD processors with AVX-512, where torch's tanh (MKL) takes ten times as long as its sigmoid. Training
    excludes them: a resumed training run must compute the same bits as the interrupted one.
    """
    is_float32_on_cpu = inputs.dtype == torch.float32 and inputs.device.type == "cpu"
    return (is_float32_on_cpu and processor().get("vendor_id") == "AuthenticAMD") or sigmoid_is_faster(inputs)


def tanh(inputs: Tensor) -> Tensor:
    """Returns tanh of the inputs, by the faster of the two formulas in decoding."""
    if sigmoid_is_faster_in_decoding(inputs):
        return (2 * inputs).sigmoid_().mul_(2).sub_(1)
    return inputs.tanh()


def batch_invariant_sigmoid_(inputs: Tensor) -> Tensor:
    """Applies the sigmoid in place to contiguous inputs (..., H), with equal results at every position.

    If H is a multiple of 32, torch.sigmoid computes all elements in vectors. Otherwise the formula 1 / (1 + exp(-x)) is
    used: torch.exp has one implementation for all elements, but the formula is slower.
    """
    if inputs.size(-1) % VECTOR_ELEMENTS:
        return inputs.neg_().exp_().add_(1).reciprocal_()
    elements = inputs.view(-1)
    shared = evenly_shared(len(elements))
    elements[:shared].sigmoid_()
    if shared < len(elements):
        elements[shared:].sigmoid_()
    return inputs


def evenly_shared(count: int) -> int:
    """Returns the number of leading elements that torch divides into equal shares of whole vectors.

    The remaining elements are few enough for one thread. torch uses one thread per share of at least GRAIN_SIZE
    elements. The last share may be smaller.

    Args:
        count: number of elements, a multiple of 32; the upper bound of the result.
    """
    threads = min(torch.get_num_threads(), -(-count // GRAIN_SIZE))
    if threads <= 1:
        return count
    even = count - count % (VECTOR_ELEMENTS * threads)
    return max(even, (threads - 1) * GRAIN_SIZE)  # with fewer elements torch would use fewer threads


def batch_invariant_tanh(inputs: Tensor) -> Tensor:
    """Returns tanh of the inputs as 2 sigmoid(2x) - 1, equal at every position."""
    return batch_invariant_sigmoid_(2 * inputs).mul_(2).sub_(1)


class Activations(NamedTuple):
    """The two activations of an LSTM cell."""

    sigmoid_: Callable[[Tensor], Tensor]  # in place
    tanh: Callable[[Tensor], Tensor]


FAST = Activations(torch.sigmoid_, tanh)
BATCH_INVARIANT = Activations(batch_invariant_sigmoid_, batch_invariant_tanh)
