"""Text as tokens and back: words, and words spelt in characters (the word and mixed models of Wu et al. 2016, section 4).

Text is cut into words: runs of letters, marks and digits, and every other character by itself. A space belongs to
the word after it and is written "▁" there, as sentencepiece does; so is one before the first word:

    A dog, Miki!    ->    ▁A ▁dog , ▁Miki !

A word can also be spelt in its characters, the first marked <B>, the last <E>, those between <M>; one that has a
single character is spelt <B> alone:

    Miki, 7    ->    ▁<B>M <M>i <M>k <E>i <B>, ▁<B>7

Decoding gives back every text exactly, its spaces included. Nothing in a text is mistaken for a mark or for a
special symbol of fairseq (<s>, <pad>, </s>, <unk>), because "<" is always a word by itself. Characters that cannot be
part of a token, white space other than the space and "▁" itself, are spelt wherever they occur; white space by its
code, as in <B>U+0009 for a tab.
"""

import re
from typing import Iterable, Iterator, List

import regex

SPACE_MARK = "\u2581"
BEGIN, MIDDLE, END = "<B>", "<M>", "<E>"
CHARACTER_MARKS = (SPACE_MARK + BEGIN, BEGIN, MIDDLE, END)  # before a character of a spelt word

WORD = regex.compile(r" ?(?:[\p{L}\p{M}\p{N}]+|[^ ])| ")
SPELT = re.compile(f"({SPACE_MARK}?)<[BME]>(U[+][0-9A-F]{{4}}|.)")
UNKNOWN, UNKNOWN_IN_REFERENCE = "<unk>", "<<unk>>"  # as fairseq writes them
# "⁇" is what sentencepiece writes for an unknown piece. An unknown word of a reference is another one, so that no
# translation equals it, and a single word to BLEU, which would cut <<unk>> into five.
UNKNOWN_TEXT = {UNKNOWN: " \u2047", UNKNOWN_IN_REFERENCE: " \u2047\u2047"}


def split_words(text: str) -> List[str]:
    """The words of a text, each with the space before it. Joined they are the text after one more space."""
    return WORD.findall(f" {text}") if text else []


def is_writable(word: str) -> bool:
    """Tells whether a word can be a token unchanged."""
    characters = word.removeprefix(" ")
    return characters != SPACE_MARK and not characters.isspace()


def written(word: str) -> str:
    """The token of a writable word."""
    return word.replace(" ", SPACE_MARK)


def written_character(character: str) -> str:
    """A character as it stands after a mark: itself, white space as its code."""
    return f"U+{ord(character):04X}" if character.isspace() else character


def read_character(form: str) -> str:
    """The character that `written_character` wrote."""
    character = form if len(form) == 1 else chr(int(form.removeprefix("U+"), 16))
    return character if character.isspace() else form


def spell(word: str) -> List[str]:
    """The tokens of a word in characters; of a space without a word it is "▁"."""
    characters = word.removeprefix(" ")
    space = SPACE_MARK if characters != word else ""
    if not characters:
        return [space]
    marks = [space + BEGIN] + [MIDDLE] * (len(characters) - 2) + [END]
    return [mark + written_character(character) for mark, character in zip(marks, characters)]


def word_token(word: str) -> str:
    """The token of the word model: the word as it is, or spelt if it cannot be written; such words have one character."""
    return written(word) if is_writable(word) else spell(word)[0]


def encode_words(text: str) -> str:
    """The tokens of the word model, with spaces between them."""
    return " ".join(map(word_token, split_words(text)))


def _texts(tokens: Iterable[str]) -> Iterator[str]:
    for token in tokens:
        if spelt := SPELT.fullmatch(token):
            space, character = spelt.groups()
            yield space.replace(SPACE_MARK, " ") + read_character(character)
        else:
            yield UNKNOWN_TEXT.get(token) or token.replace(SPACE_MARK, " ")


def decode(line: str) -> str:
    """The text of tokens with spaces between them, words or spelt; unknown ones are "⁇" with a space before it."""
    return "".join(_texts(line.split())).removeprefix(" ")
