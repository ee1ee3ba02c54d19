"""Dictionary that gives unknown words temporary ids for one request, without growing.

Words that are copied from the source to the translation need ids, so that a tensor of ids can represent the whole
translation. Temporary ids are larger than all ids of every vocabulary. They are valid in the thread (or asyncio task)
of the request until its next request calls `forget_words`.
"""

from contextvars import ContextVar
from typing import Dict, List, NamedTuple

import torch
from fairseq.data import Dictionary
from fairseq.tokenizer import tokenize_line

FIRST_TEMPORARY_ID = 1 << 30  # fairseq stores ids in 32 bits


class RequestWords(NamedTuple):
    """Unknown words of the request; word i has the id FIRST_TEMPORARY_ID + i."""

    words: List[str]
    ids: Dict[str, int]

    def id_of(self, word: str) -> int:
        """Returns the id of a word, which is added if it is new."""
        if word not in self.ids:
            self.ids[word] = FIRST_TEMPORARY_ID + len(self.words)
            self.words.append(word)
        return self.ids[word]


_WORDS: ContextVar[RequestWords] = ContextVar("words")


def forget_words() -> None:
    """Removes the unknown words of this thread's last request; their ids become invalid."""
    _WORDS.set(RequestWords([], {}))


def request_words() -> RequestWords:
    """Returns the unknown words of the current request."""
    if _WORDS.get(None) is None:
        forget_words()
    return _WORDS.get()


class OpenDictionary(Dictionary):
    """fairseq's dictionary, with temporary ids for unknown words instead of new entries."""

    def id_of(self, word: str) -> int:
        """Returns the id of a known word, or the temporary id of an unknown word."""
        return self.indices[word] if word in self.indices else request_words().id_of(word)

    def __getitem__(self, index: int) -> str:
        """Returns the word of an id; UNK for a temporary id that is no longer valid."""
        position = int(index) - FIRST_TEMPORARY_ID
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
        """Encodes a line as fairseq does, with temporary ids for unknown words if `add_if_not_exist`.

        Args:
            line: text.
            line_tokenizer: splits the line into words.
            add_if_not_exist: give temporary ids to unknown words; fairseq's commands set it for translations.
            consumer: called with each word and its id, or None.
            append_eos: append EOS.
            reverse_order: reverse the words.
        """
        encoded = super().encode_line(line, line_tokenizer, False, consumer, append_eos, reverse_order)
        if add_if_not_exist:
            words = line_tokenizer(line)
            ids = list(map(self.id_of, reversed(words) if reverse_order else words))
            encoded[: len(ids)] = torch.tensor(ids, dtype=encoded.dtype)
        return encoded
