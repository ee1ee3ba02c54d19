"""Tests the paper's attention, queried with the bottom layer's previous output, in fairseq's commands.

Expected translations are the references.
"""

import re

import pytest
from hypotheses import generate, texts
from tiny_corpora import VALID, digit_pairs, trained_on_digits


@pytest.fixture(scope="module")
def checkpoint():
    return trained_on_digits(attention_query="previous")


@pytest.fixture(scope="module")
def plain(checkpoint):
    return generate("--print-alignment", "hard", checkpoint=checkpoint)


def test_it_translates(plain):
    expected = [re.sub(r"Name\S+", "<unk>", de) for _, de in digit_pairs(VALID, seed=2)]
    assert sum(plain[index][0].text == de for index, de in enumerate(expected)) >= VALID - 2


def test_words_align_with_their_positions(plain):
    """The query does not depend on the previous token, only on its position."""
    pairs = [pair.split("-") for nbest in plain.values() for pair in nbest[0].alignment.split()]
    assert sum(source == target for source, target in pairs) > 0.8 * len(pairs)


@pytest.mark.parametrize(
    "options", [["--batch-size", 1], ["--left-pad-source"], ["--precision", "int8"]], ids=lambda o: o[0]
)
def test_options_that_change_no_translation(plain, checkpoint, options):
    """int8 makes little difference, as in the test of gnmt_v2."""
    translations = texts(generate(*options, checkpoint=checkpoint))
    assert sum(translations[index] == texts(plain)[index] for index in plain) >= (
        VALID - 1 if "int8" in options else VALID
    )
