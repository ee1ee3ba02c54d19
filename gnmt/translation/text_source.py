"""Texts that are translated while others are still to come."""

import itertools
from typing import Iterable, List, Optional, Protocol, runtime_checkable


@runtime_checkable
class TextSource(Protocol):
    """Gives texts in order."""

    def next_texts(self, most: int, wait: bool) -> Optional[List[str]]:
        """Returns the next texts.

        Args:
            most: number of texts, at most.
            wait: wait until there is at least one; otherwise the list is empty if there is none yet.

        Returns:
            Texts, or None after the last one.
        """


class IterableSource:
    """Texts of an iterable, which is read no faster than they are translated."""

    def __init__(self, texts: Iterable[str]):
        self._texts = iter(texts)

    def next_texts(self, most: int, wait: bool) -> Optional[List[str]]:
        return list(itertools.islice(self._texts, most)) or None
