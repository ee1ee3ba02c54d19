"""Return of freed memory to the operating system.

Batches of changing sizes fragment the heap of glibc, which keeps the free pages, so the resident memory of a server would
grow for hours. Returning the free pages takes milliseconds.
"""

import ctypes
import time
from typing import Callable

SECONDS = 15.0  # minimum time between two calls


def find_trim() -> Callable[[int], int]:
    """Returns glibc's malloc_trim, or a function that does nothing if it is not available."""
    try:
        return ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):  # another C library, or another system
        return lambda pad: 0


class MemoryTrimmer:
    """Returns freed memory to the system at most once in SECONDS."""

    def __init__(self, trim: Callable[[int], int], clock: Callable[[], float] = time.monotonic):
        self._trim, self._clock = trim, clock
        self._last = clock()

    def trim_if_due(self) -> None:
        """Returns the free pages of the heap if SECONDS have passed since the last call."""
        if self._clock() - self._last >= SECONDS:
            self._trim(0)
            self._last = self._clock()
