"""Limits on the memory of a long-running server.

- oneDNN caches a compiled product for each number of rows, up to 1,024 of about 250 KiB. A server has batches of all sizes, so
  the cache grows for hours. With 256 products, it stays 120 MiB smaller, and decoding takes 5 % more time.
- Batches of changing sizes fragment the heap of glibc, which keeps the free pages. Returning them takes milliseconds.
"""

import ctypes
import os
import time
from typing import Callable

SECONDS = 15.0  # minimum time between two calls
CACHE_VARIABLE = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"
CACHED_PRODUCTS = 256


def bound_product_cache() -> None:
    """Bounds oneDNN's cache unless the user's environment does; call it before torch computes a product."""
    os.environ.setdefault(CACHE_VARIABLE, str(CACHED_PRODUCTS))


def find_trim() -> Callable[[int], int]:
    """Returns glibc's malloc_trim, or a function that does nothing if it is not available."""
    try:
        return ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):  # another C library, or another system
        return lambda pad: 0


class MemoryTrimmer:
    """Returns freed memory to the system at most once in SECONDS.

    Args:
        trim: returns free pages to the system, such as glibc's malloc_trim.
        clock: returns the time in seconds.
    """

    def __init__(self, trim: Callable[[int], int], clock: Callable[[], float] = time.monotonic):
        self._trim, self._clock = trim, clock
        self._last = clock()

    def trim_if_due(self) -> None:
        """Returns the free pages of the heap if SECONDS have passed since the last call."""
        if self._clock() - self._last >= SECONDS:
            self._trim(0)
            self._last = self._clock()
