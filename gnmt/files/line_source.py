"""Lines of text to translate, from a stream that may still be growing."""

import itertools
import os
import select
from collections import deque
from typing import BinaryIO, Callable, Deque, List, Optional, Sequence

from gnmt.files.lines import read_stream

BYTES_PER_READ = 1 << 16


class LineSource:
    """Source of the complete lines of a stream; implements gnmt.translation.text_source.TextSource.

    Args:
        stream: unbuffered, with a file descriptor.
        warn: called with a message for each line that is not UTF-8.
        name: name of the stream in error messages.
    """

    def __init__(self, stream: BinaryIO, warn: Callable[[str], None], name: str = "The input"):
        self._descriptor = stream.fileno()
        self._waiting: Deque[bytes] = deque()
        self._rest: List[bytes] = []  # parts of an incomplete line
        self._is_open = True
        self._texts = read_stream((self._waiting.popleft() for _ in itertools.count()), warn, name)

    def next_texts(self, max_texts: int, wait: bool) -> Optional[List[str]]:
        """Returns the next complete lines.

        Args:
            max_texts: maximum number of lines.
            wait: block until at least one line is available; otherwise the list may be empty.

        Returns:
            Lines, or None after the last one.

        Raises:
            UserError: if the text is UTF-16.
        """
        while self._is_open and not self._waiting and (wait or self._is_readable()):
            self._read()
        if not self._waiting:
            return [] if self._is_open else None
        return [next(self._texts) for _ in range(min(max_texts, len(self._waiting)))]

    def _is_readable(self) -> bool:
        return bool(select.select([self._descriptor], [], [], 0)[0])

    def _read(self) -> None:
        """Reads once, and stores complete lines; the last line may have no end."""
        chunk = os.read(self._descriptor, BYTES_PER_READ)
        complete: Sequence[bytes]
        if chunk:
            *complete, last = chunk.split(b"\n")
        else:
            self._is_open = False
            complete, last = ([b""] if any(self._rest) else []), b""
        if complete:
            self._waiting.extend([b"".join([*self._rest, complete[0]]), *complete[1:]])
            self._rest = []
        if last:
            self._rest.append(last)
