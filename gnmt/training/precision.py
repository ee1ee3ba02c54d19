"""Choice between float32 and bfloat16 for training on a CPU, based on the time of a matrix product."""

import time
from typing import Callable

PAYS = 1.5  # training is faster in bfloat16 if products are at least 1.5 times as fast as in float32
LEAST_WIDTH = 256  # in narrower networks, products take too small a part of the time
ROWS, INPUTS, OUTPUTS = 128, 512, 2048  # sizes of the measured product, as of one time step of an LSTM
REPETITIONS = 7


def seconds_of_product(precision: str) -> float:
    """Returns the minimum time in seconds of several products in "float32" or "bfloat16", after one warm-up product."""
    import torch

    one, other = (torch.ones(shape, dtype=getattr(torch, precision)) for shape in ((ROWS, INPUTS), (INPUTS, OUTPUTS)))
    times = []
    for _ in range(1 + REPETITIONS):
        start = time.perf_counter()
        one @ other
        times.append(time.perf_counter() - start)
    return min(times[1:])


def bfloat16_speedup(seconds: Callable[[str], float] = seconds_of_product) -> float:
    """Returns the speed of matrix products in bfloat16 divided by their speed in float32 on this processor.

    The ratio is 2 to 7 with AMX or AVX-512-BF16, and below 1 on processors that convert to float32.
    """
    return seconds("float32") / seconds("bfloat16")


def bfloat16_pays(width: int, speedup: Callable[[], float] = bfloat16_speedup) -> bool:
    """Returns True if training on this CPU is faster with products in bfloat16.

    Args:
        width: hidden size of the network.
        speedup: returns the speed of products relative to float32; called only for sufficient widths.
    """
    return width >= LEAST_WIDTH and speedup() >= PAYS
