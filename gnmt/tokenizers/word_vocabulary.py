"""Vocabulary of the mixed word/character model (Wu et al. 2016, section 4.2): words, and characters for all other
words.

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
    """Words that are tokens, and the characters in which all other words are spelt."""

    words: Tuple[str, ...]  # as written in tokens, with "▁" for a space
    characters: Tuple[str, ...]

    @cached_property
    def tokens(self) -> Dict[str, str]:
        """Token of each word; keys are words with their preceding space."""
        return {word.replace(SPACE_MARK, " "): word for word in self.words}

    def encode(self, text: str) -> str:
        """Returns the tokens of a text, separated by spaces; `word_tokenizer.decode` restores the text.

        Characters outside the vocabulary are spelt like others.
        """
        tokens: List[str] = []
        for word in split_words(text):
            tokens.extend([self.tokens[word]] if word in self.tokens else spell(word))
        return " ".join(tokens)

    def dictionary(self) -> Iterator[str]:
        """Yields all tokens: a space without a word, each character with each mark, the words."""
        yield SPACE_MARK
        for character in self.characters:
            for mark in CHARACTER_MARKS:
                yield mark + written_character(character)
        yield from self.words


def learn_vocabulary(counts: Mapping[str, int], size: int, character_coverage: float) -> WordVocabulary:
    """Returns a vocabulary of the most frequent characters and words.

    Args:
        counts: count of each word with its preceding space.
        size: number of tokens.
        character_coverage: share of the text's characters that the vocabulary must contain.

    Raises:
        UserError: if the coverage is out of range, or the characters need more than `size` tokens.
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
    """Returns the content of a vocabulary file."""
    content = {"format": FORMAT, "characters": vocabulary.characters, "words": vocabulary.words}
    return json.dumps(content, ensure_ascii=False, indent=0) + "\n"


def load_vocabulary(path: Path) -> WordVocabulary:
    """Returns the vocabulary of a file.

    Raises:
        UserError: if the file is missing or malformed.
    """
    try:
        content = json.loads("\n".join(read_lines(path)))
    except (json.JSONDecodeError, RecursionError):
        content = None
    if not isinstance(content, dict) or content.get("format") != FORMAT or not _is_whole(content):
        raise UserError(
            f"{path} is not a model of mixed words and characters, or is damaged: use one of `gnmt mixed_word_char train`."
        )
    return WordVocabulary(tuple(content["words"]), tuple(content["characters"]))


def _is_whole(content: Any) -> bool:
    parts = [content.get(name) for name in ("words", "characters")]
    return all(isinstance(part, list) and all(map(_is_text, part)) for part in parts)


def _is_text(value: Any) -> bool:
    """Returns True for a string that UTF-8 can encode; JSON can escape half of a surrogate pair."""
    return isinstance(value, str) and not re.search("[\ud800-\udfff]", value)
