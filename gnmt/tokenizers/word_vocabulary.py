"""The vocabulary of the mixed word/character model (Wu et al. 2016, section 4.2): words, and characters for all others.

Its file is JSON: {"format": FORMAT, "characters": ["e", ...], "words": ["▁the", ...]}, most frequent first.
"""

import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Tuple

from gnmt.errors import UserError
from gnmt.files.lines import read_lines
from gnmt.tokenizers.word_counts import by_frequency, count_characters, most_frequent
from gnmt.tokenizers.word_tokenizer import (
    CHARACTER_MARKS,
    SPACE_MARK,
    is_writable,
    spell,
    split_words,
    written,
    written_character,
)

FORMAT = "mixed words and characters, version 1"


@dataclass(frozen=True)
class WordVocabulary:
    """Words that are tokens as they are, and the characters that all other words are spelt in."""

    words: Tuple[str, ...]  # as they are written, with "▁" for a space
    characters: Tuple[str, ...]

    @cached_property
    def tokens(self) -> Dict[str, str]:
        """Token of each word, by the word with the space before it."""
        return {word.replace(SPACE_MARK, " "): word for word in self.words}

    def encode(self, text: str) -> str:
        """The tokens of a text, with spaces between them; `word_tokenizer.decode` gives the text back.

        Characters that the vocabulary lacks are spelt like the others.
        """
        tokens: List[str] = []
        for word in split_words(text):
            tokens.extend([self.tokens[word]] if word in self.tokens else spell(word))
        return " ".join(tokens)

    def dictionary(self) -> Iterator[str]:
        """All tokens: a space without a word, each character with each mark, the words."""
        yield SPACE_MARK
        for character in self.characters:
            for mark in CHARACTER_MARKS:
                yield mark + written_character(character)
        yield from self.words


def learn_vocabulary(counts: Mapping[str, int], size: int, character_coverage: float) -> WordVocabulary:
    """The most frequent characters, as many as the coverage wants, and words, until there are `size` tokens.

    `counts` is of words with the space before them. Raises UserError if the characters alone are too many.
    """
    if not 0 < character_coverage <= 1:
        raise UserError(f"--character-coverage is {character_coverage}, but it must be above 0 and at most 1.")
    characters = most_frequent(count_characters(counts), character_coverage)
    spelling_tokens = 1 + len(CHARACTER_MARKS) * len(characters)
    if size < spelling_tokens:
        raise UserError(
            f"--vocab-size {size} is too small for the characters of this text: use at least {spelling_tokens}, "
            f"or leave rare characters out with a lower --character-coverage."
        )
    words = [written(word) for word in by_frequency(counts) if is_writable(word) and word != " "]
    return WordVocabulary(tuple(words[: size - spelling_tokens]), tuple(characters))


def to_json(vocabulary: WordVocabulary) -> str:
    """Returns a vocabulary as the text of its file."""
    content = {"format": FORMAT, "characters": vocabulary.characters, "words": vocabulary.words}
    return json.dumps(content, ensure_ascii=False, indent=0) + "\n"


def load_vocabulary(path: Path) -> WordVocabulary:
    """Raises UserError for a file that is missing or is no such vocabulary."""
    try:
        content = json.loads("\n".join(read_lines(path)))
    except (json.JSONDecodeError, RecursionError):
        content = None
    if not isinstance(content, dict) or content.get("format") != FORMAT or not _is_whole(content):
        raise UserError(
            f"{path} is no model of mixed words and characters, or is damaged: "
            f"use one of `python -m fairseq_gnmt.data.mixed_word_char train`."
        )
    return WordVocabulary(tuple(content["words"]), tuple(content["characters"]))


def _is_whole(content: Any) -> bool:
    parts = [content.get(name) for name in ("words", "characters")]
    return all(isinstance(part, list) and all(map(_is_text, part)) for part in parts)


def _is_text(value: Any) -> bool:
    """JSON can escape half of a surrogate pair, which no UTF-8 file can hold."""
    return isinstance(value, str) and not re.search("[\ud800-\udfff]", value)
