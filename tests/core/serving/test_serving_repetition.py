"""Tests detection of repetitions and of the source language. Expected values are worked out by hand."""

import pytest

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")

from gnmt.serving.languages import detect, language_name
from gnmt.serving.repetition import is_repetitive, most_in_a_row


@pytest.mark.parametrize(
    "tokens, size, expected",
    [("a b c", 1, 1), ("a a b b b", 1, 3), ("x a b a b a b y", 2, 3), ("a b a b a", 2, 2), ("a", 2, 0), ("", 1, 0)],
)
def test_phrases_in_a_row_are_counted(tokens, size, expected):
    assert most_in_a_row(tokens.split(), size) == expected


@pytest.mark.parametrize(
    "source, target, expected",
    [
        ("a dog", "ein Hund", False),
        ("a dog", "der Hund der Hund der Hund", True),
        ("a dog", "der Hund der Hund", False),
        ("ha ha ha ha", "ha ha ha ha", False),  # as many repetitions as in the source
        ("ha", "ha ha ha", False),
        ("ha", "ha ha ha ha", True),
        ("", "a b c d e f a b c d e f a b c d e f", True),
        ("", "", False),
    ],
)
def test_more_repetitions_than_in_the_source_are_detected(source, target, expected):
    assert is_repetitive(source.split(), target.split()) is expected


@pytest.mark.parametrize(
    "text, expected",
    [
        ("The children are playing in the snow.", "en"),
        ("Die Kinder spielen im Schnee und haben keine Angst.", "de"),
        ("Les enfants jouent dans la neige.", "fr"),
        ("Дети играют на снегу.", "ru"),
        ("子供たちは雪の中で遊んでいます。", "ja"),
    ],
)
def test_the_most_probable_language_is_first(text, expected):
    guesses = detect(text, ["en", "de", "fr", "ru", "ja"])
    assert guesses[0].language == expected and guesses[0].confidence > 50
    assert [guess.confidence for guess in guesses] == sorted((guess.confidence for guess in guesses), reverse=True)


def test_nothing_is_detected_without_letters():
    assert [guess.confidence for guess in detect("12, 34!", ["en", "de"])] == [0.0, 0.0]
    assert language_name("de-CH") == "German" and language_name("xx") == "xx"
