"""Progress of a bulk translation: lines, lines per second and the time left, on stderr."""

from gnmt.files.progress import progress_bar


class Counter:
    """Counts translated lines and shows the progress; a context manager."""

    def __init__(self, total: int, done: int):
        """Begins the progress bar.

        Args:
            total: number of lines of the input.
            done: number of lines translated by an earlier run; they are not used for the speed.
        """
        self._bar = progress_bar(total=total, done=done, unit="lines")

    def add(self, lines: int) -> None:
        """Adds lines to the count; a negative number removes the lines of a killed process."""
        self._bar.update(lines)

    def __enter__(self) -> "Counter":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()
