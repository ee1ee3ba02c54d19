"""Sources of texts that arrive during translation."""

import itertools
from typing import Iterable, List, Optional, Protocol, runtime_checkable


@runtime_checkable
class TextSource(Protocol):
    """Source of texts, in order."""

    def next_texts(self, max_texts: int, wait: bool) -> Optional[List[str]]:
        """Returns the next texts.

        Args:
            max_texts: maximum number of texts.
            wait: block until at least one text is available; otherwise the list may be empty.

        Returns:
            Texts, or None after the last one.
        """


class IterableSource:
    """Texts of an iterable, which is read only as fast as texts are translated."""

    def __init__(self, texts: Iterable[str]):
        self._texts = iter(texts)

    def next_texts(self, max_texts: int, wait: bool) -> Optional[List[str]]:
        """Returns the next texts, at most `max_texts`, or None after the last one; always waits for them."""
        return list(itertools.islice(self._texts, max_texts)) or None
