"""Conversion between text and tokens: words, and words spelt in characters (Wu et al. 2016, section 4).

Words are runs of letters, marks and digits; every other character is a separate word. A space belongs to the following
word and is written "▁", as in sentencepiece. The first word has a space mark too:

    A dog, Miki!    ->    ▁A ▁dog , ▁Miki !

A word can also be spelt in characters: the first is marked <B>, the last <E>, others <M>. A word of one character is
spelt with <B> alone:

    Miki, 7    ->    ▁<B>M <M>i <M>k <E>i <B>, ▁<B>7

Decoding restores every text exactly, including its spaces. Text cannot be confused with a mark or a special symbol of
fairseq (<s>, <pad>, </s>, <unk>), because "<" is always a separate word. Characters that cannot be part of a token are
always spelt: the character "▁", and white space other than the space. White space is spelt by its code, such as
<B>U+0009 for a tab.
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
# sentencepiece writes "⁇" for an unknown piece. An unknown word of a reference has a different text, so that no
# translation matches it. It is a single word for BLEU, which would split <<unk>> into five.
UNKNOWN_TEXT = {UNKNOWN: " \u2047", UNKNOWN_IN_REFERENCE: " \u2047\u2047"}


def split_words(text: str) -> List[str]:
    """Returns the words of a text, each with its preceding space; joined, they are a space followed by the text."""
    return WORD.findall(f" {text}") if text else []


def is_writable(word: str) -> bool:
    """Returns True if a word can be a token without spelling."""
    characters = word.removeprefix(" ")
    return characters != SPACE_MARK and not characters.isspace()


def written(word: str) -> str:
    """Returns the token of a writable word."""
    return word.replace(" ", SPACE_MARK)


def written_character(character: str) -> str:
    """Returns the text that follows a mark: the character, or its code for white space."""
    return f"U+{ord(character):04X}" if character.isspace() else character


def read_character(form: str) -> str:
    """Returns the character of a form of `written_character`."""
    character = form if len(form) == 1 else chr(int(form.removeprefix("U+"), 16))
    return character if character.isspace() else form


def spell(word: str) -> List[str]:
    """Returns the tokens of a word spelt in characters; "▁" for a space without a word."""
    characters = word.removeprefix(" ")
    space = SPACE_MARK if characters != word else ""
    if not characters:
        return [space]
    marks = [space + BEGIN] + [MIDDLE] * (len(characters) - 2) + [END]
    return [mark + written_character(character) for mark, character in zip(marks, characters)]


def word_token(word: str) -> str:
    """Returns the token of the word model: the word, or its spelling if it is not writable (always one character)."""
    return written(word) if is_writable(word) else spell(word)[0]


def encode_words(text: str) -> str:
    """Returns the tokens of the word model, separated by spaces."""
    return " ".join(map(word_token, split_words(text)))


def _texts(tokens: Iterable[str]) -> Iterator[str]:
    for token in tokens:
        if spelt := SPELT.fullmatch(token):
            space, character = spelt.groups()
            yield space.replace(SPACE_MARK, " ") + read_character(character)
        else:
            yield UNKNOWN_TEXT.get(token) or token.replace(SPACE_MARK, " ")


def decode(line: str) -> str:
    """Returns the text of tokens separated by spaces, words or spelt; unknown tokens become " ⁇"."""
    return "".join(_texts(line.split())).removeprefix(" ")
