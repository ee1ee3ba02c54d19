"""Fast tanh, and activation functions whose result for an element does not depend on its position.

torch.sigmoid computes the last elements of a tensor, or of a thread's share of it, by another exponential function than the
whole vectors before them. So the last bits of its results depend on the size of the tensor and on the number of threads.
"""

import functools
from pathlib import Path
from typing import Callable, NamedTuple

import torch
from torch import Tensor

VECTORS = 32  # elements that torch computes at once, or a multiple of that
SHARE = 32768  # elements of a tensor that torch gives to one thread at least (at::internal::GRAIN_SIZE)
SLOW_TANH = ("AVX2", "DEFAULT")  # torch's sigmoid takes a third of the time of its tanh there, and more with AVX-512


def sigmoid_is_faster(inputs: Tensor) -> bool:
    """Tells whether 2 sigmoid(2x) - 1 is faster than tanh(x).

    In half precision the difference would lose what is left of small numbers.
    """
    if inputs.is_cuda or inputs.dtype not in (torch.float32, torch.float64):
        return False
    return torch.backends.cpu.get_cpu_capability() in SLOW_TANH


def sigmoid_is_faster_in_decoding(inputs: Tensor) -> bool:
    """Tells the same with AMD's processors with AVX-512 among those where it is, for decoding only.

    torch's tanh is MKL's, which takes ten times as long there as torch's sigmoid. A training must go on bit by bit where
    it was interrupted, so it keeps its formula.
    """
    on_amd = inputs.dtype == torch.float32 and inputs.device.type == "cpu" and processor_vendor() == "AuthenticAMD"
    return on_amd or sigmoid_is_faster(inputs)


@functools.cache
def processor_vendor() -> str:
    """Returns the vendor that Linux reports, such as "GenuineIntel"; empty where it is not known."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return ""
    return next((line.split(":")[-1].strip() for line in lines if line.startswith("vendor_id")), "")


def tanh(inputs: Tensor) -> Tensor:
    """Returns tanh of the inputs, by the faster of two formulas; for decoding."""
    if sigmoid_is_faster_in_decoding(inputs):
        return (2 * inputs).sigmoid_().mul_(2).sub_(1)
    return inputs.tanh()


def reproducible_sigmoid_(inputs: Tensor) -> Tensor:
    """sigmoid of contiguous inputs (..., H), in place.

    With H a multiple of 32, torch.sigmoid has whole vectors only. Otherwise it is 1 / (1 + exp(-x)), as torch.exp has one
    function for all elements, but takes longer.
    """
    if inputs.size(-1) % VECTORS:
        return inputs.neg_().exp_().add_(1).reciprocal_()
    elements = inputs.view(-1)
    shared = evenly_shared(len(elements))
    elements[:shared].sigmoid_()
    if shared < len(elements):
        elements[shared:].sigmoid_()
    return inputs


def evenly_shared(count: int) -> int:
    """The number of elements, at most count, that torch divides into equal shares of whole vectors for its threads.

    The rest is small enough for one thread. count is a multiple of 32. torch uses as many threads as there are shares
    of at least SHARE elements, the last of which may be smaller.
    """
    threads = min(torch.get_num_threads(), -(-count // SHARE))
    if threads <= 1:
        return count
    even = count - count % (VECTORS * threads)
    return max(even, (threads - 1) * SHARE)  # fewer elements would have fewer threads


def reproducible_tanh(inputs: Tensor) -> Tensor:
    """Returns tanh of the inputs as 2 sigmoid(2x) - 1, equal at every position."""
    return reproducible_sigmoid_(2 * inputs).mul_(2).sub_(1)


class Activations(NamedTuple):
    """The two activations of an LSTM cell."""

    sigmoid_: Callable[[Tensor], Tensor]  # in place
    tanh: Callable[[Tensor], Tensor]


FAST = Activations(torch.sigmoid_, tanh)
REPRODUCIBLE = Activations(reproducible_sigmoid_, reproducible_tanh)
