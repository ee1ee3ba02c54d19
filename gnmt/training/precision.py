"""Choice between float32 and bfloat16 for training on a CPU, based on the time of a matrix product."""

import time
from typing import Callable, Dict

MIN_SPEEDUP = 1.5  # training is faster in bfloat16 if products are at least 1.5 times as fast as in float32
MIN_HIDDEN_SIZE = 256  # in narrower networks, products take too small a part of the time
ROWS, INPUTS, OUTPUTS = 128, 512, 2048  # sizes of the measured product, as of one time step of an LSTM
REPETITIONS = 20


def seconds_of_products() -> Dict[str, float]:
    """Returns the minimum time in seconds of a product in "float32" and in "bfloat16".

    One thread computes them alternately, so that other programs on the machine do not change the ratio.
    """
    import torch

    threads = torch.get_num_threads()
    seconds: Dict[str, float] = {}
    try:
        torch.set_num_threads(1)
        for repetition in range(1 + REPETITIONS):  # the first warms up
            for precision in ("float32", "bfloat16"):
                dtype = getattr(torch, precision)
                inputs, weight = torch.ones(ROWS, INPUTS, dtype=dtype), torch.ones(INPUTS, OUTPUTS, dtype=dtype)
                start = time.perf_counter()
                inputs @ weight
                elapsed = time.perf_counter() - start
                if repetition:
                    seconds[precision] = min(elapsed, seconds.get(precision, elapsed))
    finally:
        torch.set_num_threads(threads)
    return seconds


def bfloat16_speedup(seconds_of_products: Callable[[], Dict[str, float]] = seconds_of_products) -> float:
    """Returns the speed of matrix products in bfloat16 divided by their speed in float32 on this processor.

    The ratio is 2 to 7 with AMX or AVX-512-BF16, and below 1 on processors that convert to float32.
    """
    seconds = seconds_of_products()
    return seconds["float32"] / seconds["bfloat16"]


def is_bfloat16_faster(hidden_size: int, speedup: Callable[[], float] = bfloat16_speedup) -> bool:
    """Returns True if training on this CPU is faster with products in bfloat16.

    Args:
        hidden_size: hidden size of the network.
        speedup: returns the speed of products relative to float32; called only for sufficient hidden sizes.
    """
    return hidden_size >= MIN_HIDDEN_SIZE and speedup() >= MIN_SPEEDUP
