"""Tests GLEU against counts worked out by hand and against NLTK."""

import pytest

from gnmt.evaluation.gleu import gleu, mean_gleu, ngrams


def score(output: str, reference: str) -> float:
    return gleu(ngrams(output.split()), ngrams(reference.split()))


def test_ngrams_by_hand():
    assert ngrams(["a", "b", "a"]) == {
        ("a",): 2,
        ("b",): 1,
        ("a", "b"): 1,
        ("b", "a"): 1,
        ("a", "b", "a"): 1,
    }
    assert max(map(len, ngrams("a b c d e f".split()))) == 4


def test_by_hand():
    # Both have 4 + 3 + 2 + 1 n-grams; common are a, b, c, a b, b c, a b c.
    assert score("a b c x", "a b c d") == pytest.approx(6 / 10)
    # Precision is 1 of 1, recall 1 of 3 (a, b, a b): GLEU is the minimum of the two.
    assert score("a", "a b") == score("a b", "a") == pytest.approx(1 / 3)
    # The second a has no counterpart: the match is a; the output has a, a, a a.
    assert score("a a", "a b") == pytest.approx(1 / 3)


def test_equal_and_empty():
    assert score("a b c d e", "a b c d e") == score("a", "a") == score("", "") == 1
    assert score("", "a") == score("a", "") == score("a b", "c d") == 0


@pytest.mark.parametrize(
    "output, reference, nltk",
    [
        # sentence_gleu([reference.split()], output.split()) of nltk.translate.gleu_score, NLTK 3.10.4
        ("two dogs play in the snow", "two dogs are playing in the white snow", 0.2692307692307692),
        (
            "a man in a blue shirt is standing on a ladder cleaning a window",
            "a man on a ladder cleans a window of a tall building",
            0.26,
        ),
        ("the the the the the", "the cat is on the mat", 0.1111111111111111),
        ("zwei Hunde spielen", "zwei Hunde spielen im Schnee und ein dritter sieht zu", 0.17647058823529413),
    ],
)
def test_values_of_nltk(output, reference, nltk):
    assert score(output, reference) == pytest.approx(nltk, abs=1e-12)


def test_mean_of_sentences():
    """The full stop is a token: n-grams a, ., a . and a, b, ., a b, b ., a b . have a and the full stop in common."""
    assert mean_gleu(["a.", "c"], ["a b.", "c"]) == pytest.approx((2 / 6 + 1) / 2)
    with pytest.raises(ValueError):
        mean_gleu(["a"], ["a", "b"])
