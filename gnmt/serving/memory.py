"""Freed memory of the process, which is given back to the system.

Batches of changing sizes leave holes in the heap of glibc, which keeps them: the resident memory of a server would grow
for hours. Giving the free pages back takes milliseconds.
"""

import ctypes
import time
from typing import Callable

SECONDS = 15.0  # between two times


def find_trim() -> Callable[[int], int]:
    """Returns glibc's malloc_trim, or a function that does nothing where there is none."""
    try:
        return ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):  # another C library, or another system
        return lambda pad: 0


class MemoryTrimmer:
    """Gives freed memory back, at most once in SECONDS."""

    def __init__(self, trim: Callable[[int], int], clock: Callable[[], float] = time.monotonic):
        self._trim, self._clock = trim, clock
        self._last = clock()

    def trim_if_due(self) -> None:
        """Gives the free pages of the heap back if the last time was long enough ago."""
        if self._clock() - self._last >= SECONDS:
            self._trim(0)
            self._last = self._clock()
