"""Dictionary that numbers unknown words for one request, without growing.

Words that are copied from the source to the translation need numbers, so that tokens can represent the whole
translation. The numbers are above every vocabulary. They belong to the thread (or asyncio task) of the request, until
the next request of the thread calls `forget_words`.
"""

from contextvars import ContextVar
from typing import Dict, List, NamedTuple

import torch
from fairseq.data import Dictionary
from fairseq.tokenizer import tokenize_line

FIRST_NUMBER = 1 << 30  # fairseq stores numbers in 32 bits


class RequestWords(NamedTuple):
    """Unknown words of the request; word i has the number FIRST_NUMBER + i."""

    words: List[str]
    numbers: Dict[str, int]

    def number(self, word: str) -> int:
        """Returns the number of a word, which is added if it is new."""
        if word not in self.numbers:
            self.numbers[word] = FIRST_NUMBER + len(self.words)
            self.words.append(word)
        return self.numbers[word]


_WORDS: ContextVar[RequestWords] = ContextVar("words")


def forget_words() -> None:
    """Removes the unknown words of this thread's last request; their numbers become invalid."""
    _WORDS.set(RequestWords([], {}))


def request_words() -> RequestWords:
    """Returns the unknown words of the current request."""
    if _WORDS.get(None) is None:
        forget_words()
    return _WORDS.get()


class OpenDictionary(Dictionary):
    """fairseq's dictionary, with temporary numbers for unknown words instead of new entries."""

    def number(self, word: str) -> int:
        """Returns the index of a known word, or the temporary number of an unknown word."""
        return self.indices[word] if word in self.indices else request_words().number(word)

    def __getitem__(self, index: int) -> str:
        """Returns the word of an index or number; UNK for a number that is no longer valid."""
        position = int(index) - FIRST_NUMBER
        words = request_words().words
        return words[position] if 0 <= position < len(words) else super().__getitem__(index)

    def encode_line(
        self,
        line,
        line_tokenizer=tokenize_line,
        add_if_not_exist=True,
        consumer=None,
        append_eos=True,
        reverse_order=False,
    ) -> torch.IntTensor:
        """Encodes a line as fairseq does, with temporary numbers for unknown words if `add_if_not_exist`.

        Args:
            line: text.
            line_tokenizer: splits the line into words.
            add_if_not_exist: number unknown words; fairseq's commands set it for translations.
            consumer: called with each word and its number, or None.
            append_eos: append EOS.
            reverse_order: reverse the words.
        """
        encoded = super().encode_line(line, line_tokenizer, False, consumer, append_eos, reverse_order)
        if add_if_not_exist:
            words = line_tokenizer(line)
            numbers = list(map(self.number, reversed(words) if reverse_order else words))
            encoded[: len(numbers)] = torch.tensor(numbers, dtype=encoded.dtype)
        return encoded
