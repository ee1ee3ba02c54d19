"""Tests the tokens that the reward compares. Expected words and n-gram counts are worked out by hand."""

import pytest
from fairseq.data import Dictionary

from fairseq_gnmt.errors import explain
from fairseq_gnmt.rewards.words import RewardTokenizer
from gnmt.evaluation.gleu import gleu, ngrams

PIECES = ["▁ein", "▁Hund", "e", "▁läuft", ".", "@@"]


@pytest.fixture
def dictionary() -> Dictionary:
    dictionary = Dictionary()
    for piece in PIECES:
        dictionary.add_symbol(piece)
    return dictionary


def ids(dictionary: Dictionary, text: str) -> list:
    return [dictionary.bos(), *map(dictionary.index, text.split()), dictionary.eos(), dictionary.pad()]


def test_tokens_without_marks_and_padding(dictionary):
    words = RewardTokenizer(dictionary, None)
    assert words.of_output(ids(dictionary, "▁ein ▁Hund e .")) == ["▁ein", "▁Hund", "e", "."]
    assert words.of_output([dictionary.eos()]) == words.of_reference([dictionary.eos()]) == []


def test_words_equal_the_tokens_of_bleu(dictionary):
    """Subwords are joined to words; the full stop, which belongs to a subword, becomes a separate token."""
    words = RewardTokenizer(dictionary, "sentencepiece")
    for read in (words.of_output, words.of_reference):
        assert read(ids(dictionary, "▁ein ▁Hund e ▁läuft .")) == ["ein", "Hunde", "läuft", "."]


def test_words_that_were_spelt(dictionary):
    for piece in ("▁<B>M", "<M>i", "<E>k"):
        dictionary.add_symbol(piece)
    words = RewardTokenizer(dictionary, "mixed_word_char")
    for read in (words.of_output, words.of_reference):
        assert read(ids(dictionary, "▁<B>M <M>i <E>k ▁läuft .")) == ["Mik", "läuft", "."]


@pytest.mark.parametrize("subwords, expected", [(None, 2 / 6), ("sentencepiece", 1 / 14), ("words", 2 / 6)])
def test_unknown_words_of_references_never_match(dictionary, subwords, expected):
    """Of three tokens with 3 + 2 + 1 n-grams, ▁ein and the full stop match.

    In sentencepiece models the unknown piece is joined to the previous word. The output `ein < unk > .` has 5 + 4 + 3 +
    2 n-grams, and only the full stop is in the reference. In the word model the unknown piece is a separate word.
    """
    words = RewardTokenizer(dictionary, subwords)
    unknown = [dictionary.index("▁ein"), dictionary.unk(), dictionary.index("."), dictionary.eos()]
    output, reference = words.of_output(unknown), words.of_reference(unknown)
    assert gleu(ngrams(output), ngrams(reference)) == pytest.approx(expected)


def test_a_kind_of_subwords_that_fairseq_does_not_know(dictionary):
    with pytest.raises(NotImplementedError) as raised:
        RewardTokenizer(dictionary, "sentencepeace")
    assert "'@@ '" in explain(raised.value, raised.tb)
