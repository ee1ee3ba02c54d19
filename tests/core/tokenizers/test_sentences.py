"""Tests sentence splitting against sentences written by hand."""

import pytest

from gnmt.tokenizers.sentences import split_sentences


def texts(text: str, language: str = "en"):
    return [sentence.text for sentence in split_sentences(text, language)]


@pytest.mark.parametrize(
    "text, language, expected",
    [
        ("It rains. We stay.", "en", ["It rains.", "We stay."]),
        ("Really?! Yes... No!", "en", ["Really?!", "Yes...", "No!"]),
        ("Dr. Smith met Mr. Jones. They talked.", "en", ["Dr. Smith met Mr. Jones.", "They talked."]),
        ("J. R. R. Tolkien wrote it.", "en", ["J. R. R. Tolkien wrote it."]),
        ("See fig. 3 and p. 7. It is clear.", "en", ["See fig. 3 and p. 7.", "It is clear."]),
        ("Fruit, e.g. Apples, is good.", "en", ["Fruit, e.g. Apples, is good."]),
        ("It costs 3.50 euros. 5 people paid.", "en", ["It costs 3.50 euros.", "5 people paid."]),
        ("In 1999. We met.", "en", ["In 1999.", "We met."]),
        ('He said "Go." Then he left.', "en", ['He said "Go."', "Then he left."]),
        ("“Stop!” (He ran.) “Why?”", "en", ["“Stop!”", "(He ran.)", "“Why?”"]),
        ("wait ... and see", "en", ["wait ... and see"]),
        ("Am 3. Oktober wird gefeiert. Alle kommen.", "de", ["Am 3. Oktober wird gefeiert.", "Alle kommen."]),
        ("Das gilt z.B. Sonntags. Aber nicht immer.", "de", ["Das gilt z.B. Sonntags.", "Aber nicht immer."]),
        ("Er kam 1999. Sie ging.", "de", ["Er kam 1999.", "Sie ging."]),
        ("M. Dupont arrive. « Bonjour ! » dit-il.", "fr", ["M. Dupont arrive.", "« Bonjour ! » dit-il."]),
        ("今日は雨です。家にいます。", "ja", ["今日は雨です。", "家にいます。"]),
        ("Das ist gut.", "de-CH", ["Das ist gut."]),
        ("no terminator", "en", ["no terminator"]),
    ],
)
def test_sentence_boundaries_by_hand(text, language, expected):
    assert texts(text, language) == expected


def test_line_breaks_always_separate_and_stay():
    text = "First line\nsecond line. Third.\r\n\n  indented\u2028last"
    sentences = split_sentences(text, "en")
    assert "".join(sentence.text + sentence.separator for sentence in sentences) == text
    assert [sentence.text for sentence in sentences] == [
        "First line",
        "second line.",
        "Third.",
        "",
        "",
        "indented",
        "last",
    ]


@pytest.mark.parametrize(
    "text", ["", " ", "\n", "a.\n", "  A b.  C d.  ", "\r\n\r\nx", "...", ". . . A", "?! \t Z\x85"]
)
@pytest.mark.parametrize("language", ["en", "de", "xx", ""])
def test_joined_sentences_are_the_text(text, language):
    assert "".join(sentence.text + sentence.separator for sentence in split_sentences(text, language)) == text


def test_a_long_line_of_sentences_is_split_completely():
    assert texts("Yes. " * 20_000) == ["Yes."] * 20_000
