"""Progress of a bulk translation: lines, lines per second and the time left, on stderr."""

import sys
from typing import Optional, TextIO

from tqdm import tqdm

SECONDS_IN_A_LOG = 30  # between two lines of progress that no terminal shows


class Counter:
    """Counts translated lines and shows them; used as a context."""

    def __init__(self, total: int, done: int, stream: Optional[TextIO] = None):
        """Starts to count.

        Args:
            total: lines of the input.
            done: lines that an earlier run translated; they do not count for the speed.
            stream: to print to; stderr by default.
        """
        stream = stream or sys.stderr
        self._bar = tqdm(
            total=total,
            initial=done,
            unit=" lines",
            file=stream,
            mininterval=0.5 if stream.isatty() else SECONDS_IN_A_LOG,
            smoothing=0.05,
            dynamic_ncols=True,
        )

    def add(self, lines: int) -> None:
        """Counts lines; a negative number takes back those of a process that was killed."""
        self._bar.update(lines)

    def __enter__(self) -> "Counter":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()
