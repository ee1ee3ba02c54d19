"""Progress of a bulk translation: lines, lines per second and the time left, on stderr."""

import sys
from typing import Optional, TextIO

from tqdm import tqdm

SECONDS_IN_A_LOG = 30  # between two progress lines if the output is not a terminal


class Counter:
    """Counts translated lines and shows the progress; a context manager."""

    def __init__(self, total: int, done: int, stream: Optional[TextIO] = None):
        """Shows the progress bar.

        Args:
            total: number of lines of the input.
            done: number of lines translated by an earlier run; they are not used for the speed.
            stream: output stream; stderr by default.
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
        """Adds lines to the count; a negative number removes the lines of a killed process."""
        self._bar.update(lines)

    def __enter__(self) -> "Counter":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()
