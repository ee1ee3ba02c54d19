"""Tests attention between words, computed from attention between subwords, and its layout.

Expected values are worked out by hand.
"""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from png import png_size

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from gnmt.errors import UserError  # noqa: E402
from plot_attention import sentences_of_data  # noqa: E402
from gnmt.plots import pictures  # noqa: E402
from gnmt.plots.attention_map import (  # noqa: E402
    BARS, CELL, COLOURS, GAP, MAX_SIDE_INCHES, SCHEMES, AttentionMap, draw, of_words, word_starts,
)  # fmt: skip
from gnmt.plots.pictures import DOTS_PER_INCH, below_each_other, to_png  # noqa: E402

PIECES = AttentionMap(
    number=3,
    score=-0.25,
    source=["▁Hün", "din", "</s>"],
    target=["▁do", "g", "▁runs", "</s>"],
    weights=np.array([[0.5, 0.25, 0.25], [0.25, 0.5, 0.25], [0.0, 0.25, 0.75], [0.0, 0.0, 1.0]]),
)


@pytest.mark.parametrize("begin", [[], [0]], ids=["fairseq", "nvidia"])
def test_translation_restores_word_markers(begin):
    rows = [{"source": torch.tensor([*begin, 5, 6, 2])}]
    config = SimpleNamespace(nvidia_conventions=bool(begin))
    task = SimpleNamespace(cfg=config, load_dataset=lambda split: None, dataset=lambda split: rows)
    model = SimpleNamespace(task=task, src_dict={5: "▁do", 6: "g"})
    number, pieces, tokens = sentences_of_data(model, "test", [0])[0]
    assert (number, pieces, tokens.tolist()) == (0, ["▁do", "g"], [5, 6, 2])


def random_map(target: int, source: int) -> AttentionMap:
    weights = np.random.default_rng(1).dirichlet(np.ones(source), size=target)
    return AttentionMap(0, -1.0, [f"s{n}" for n in range(source)], [f"t{n}" for n in range(target)], weights)


def test_attention_of_words():
    """Attention is summed over the two source pieces of Hündin, and averaged over the two target pieces of dog."""
    words = of_words(PIECES, SCHEMES["sentencepiece"])
    assert words.source == ["Hündin", "</s>"] and words.target == ["dog", "runs", "</s>"]
    np.testing.assert_allclose(words.weights, [[0.75, 0.25], [0.25, 0.75], [0.0, 1.0]])
    np.testing.assert_allclose(words.coverage, [1.0, 2.0])
    assert (words.number, words.score) == (3, -0.25)


def test_coverage_is_the_sum_over_the_target():
    np.testing.assert_allclose(PIECES.coverage, [0.75, 1.0, 2.25])


def test_rows_of_words_add_up_to_1():
    source, target = ["▁a", "b", "▁c", "d", "e", "▁f", "</s>"], ["▁a", *"bc", "▁d", *"efg", "▁h", "</s>"]
    pieces = random_map(len(target), len(source))._replace(source=source, target=target)
    np.testing.assert_allclose(of_words(pieces, SCHEMES["sentencepiece"]).weights.sum(axis=1), 1.0)


@pytest.mark.parametrize(
    "scheme, pieces, starts",
    [
        ("sentencepiece", ["▁a", "b", "▁", "ô", "<unk>", "▁c", "</s>"], [0, 2, 5, 6]),
        ("sentencepiece", ["a", "b", "</s>"], [0, 2]),  # no marker: a model without dummy prefix
        ("sentencepiece", ["</s>"], [0]),
        ("subword_nmt", ["a@@", "b@@", "c", "d", "</s>"], [0, 3, 4]),
        ("subword_nmt", ["a@@", "</s>"], [0, 1]),  # truncated by a length limit
        ("mixed_word_char", ["▁A", "▁<B>M", "<M>i", "<E>k", ",", "<B>x", "</s>"], [0, 1, 4, 5, 6]),
    ],
)
def test_where_words_begin(scheme, pieces, starts):
    assert word_starts(pieces, SCHEMES[scheme]) == starts


def test_texts_of_words():
    assert SCHEMES["sentencepiece"].text(["▁", "ô", "x"]) == "ôx" and SCHEMES["sentencepiece"].text(["▁"]) == "▁"
    assert SCHEMES["subword_nmt"].text(["a@@", "b@@", "c"]) == "abc"
    mixed = SCHEMES["mixed_word_char"].text
    assert mixed(["▁<B>M", "<M>i", "<E>k"]) == "Mik" and mixed(["▁dog"]) == "dog" and mixed(["▁"]) == "▁"


# -- picture


def test_drawn_values():
    cells, bars, _ = draw(PIECES).axes
    np.testing.assert_allclose(cells.images[0].get_array(), PIECES.weights)
    assert cells.images[0].get_clim() == (0, 1)
    assert [text.get_text() for text in cells.get_xticklabels()] == PIECES.source
    assert [text.get_text() for text in cells.get_yticklabels()] == PIECES.target
    np.testing.assert_allclose([bar.get_height() for bar in bars.patches], PIECES.coverage)
    assert cells.get_title(loc="left") == "sentence 3, score -0.250"


def test_pictures_grow_with_the_sentence():
    for target, source in ((1, 1), (4, 3), (60, 80)):
        figure = draw(random_map(target, source))
        expected = [source * CELL + GAP + COLOURS, BARS + GAP + target * CELL]
        np.testing.assert_allclose(figure.get_size_inches(), expected)
    np.testing.assert_allclose(draw(random_map(2, 1000)).get_size_inches()[0], MAX_SIDE_INCHES + GAP + COLOURS)


def test_png_holds_the_map_and_its_words():
    figure = draw(PIECES)
    inner_width, inner_height = figure.get_size_inches() * DOTS_PER_INCH
    width, height = png_size(to_png(figure, cut_to_content=True))
    assert inner_width < width < inner_width + 2 * DOTS_PER_INCH
    assert inner_height < height < inner_height + 2 * DOTS_PER_INCH


def test_letters_and_dollars_are_drawn(recwarn):
    words = ["▁Über", "$5", "$6_{", "größer", "</s>"]
    attention = random_map(5, 5)._replace(source=words, target=words)
    assert png_size(to_png(draw(attention), cut_to_content=True))
    assert not [warning for warning in recwarn if "missing from" in str(warning.message)]  # a glyph that the font has


def test_page():
    small, large = (to_png(draw(attention)) for attention in (PIECES, random_map(9, 12)))
    width, _ = png_size(large)
    assert png_size(below_each_other([small, large])) == (width, png_size(small)[1] + png_size(large)[1])


def test_page_that_is_too_high(monkeypatch):
    monkeypatch.setattr(pictures, "MAX_SIDE_DOTS", 500)
    with pytest.raises(UserError, match="at most 500: give fewer sentences"):
        below_each_other([to_png(draw(PIECES))] * 2)
