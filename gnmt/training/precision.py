"""Choice between float32 and bfloat16 for a training on a CPU, by the time that a matrix product takes."""

import time
from typing import Callable

PAYS = 1.5  # products at least so many times as fast as in float32 make the whole training faster
LEAST_WIDTH = 256  # of networks that gain: in narrower ones products take too small a part of the time
ROWS, INPUTS, OUTPUTS = 128, 512, 2048  # of the product: one position of an LSTM
REPETITIONS = 7


def seconds_of_product(precision: str) -> float:
    """Returns the shortest time of several products in "float32" or "bfloat16", after a first one."""
    import torch

    one, other = (torch.ones(shape, dtype=getattr(torch, precision)) for shape in ((ROWS, INPUTS), (INPUTS, OUTPUTS)))
    times = []
    for _ in range(1 + REPETITIONS):
        start = time.perf_counter()
        one @ other
        times.append(time.perf_counter() - start)
    return min(times[1:])


def bfloat16_speedup(seconds: Callable[[str], float] = seconds_of_product) -> float:
    """Returns how many times as fast as in float32 this processor multiplies matrices in bfloat16.

    It is two to seven times with AMX or AVX-512-BF16, and less than one on processors that convert to float32.
    """
    return seconds("float32") / seconds("bfloat16")


def bfloat16_pays(width: int, speedup: Callable[[], float] = bfloat16_speedup) -> bool:
    """Tells whether a training on this CPU is faster with large products in bfloat16.

    Args:
        width: hidden size of the network.
        speedup: returns the factor for products; measured only where the width allows a gain.
    """
    return width >= LEAST_WIDTH and speedup() >= PAYS
