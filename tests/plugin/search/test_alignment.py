"""Tests alignments for fairseq against values worked out by hand."""

import torch

from fairseq_gnmt.search.alignment import Alignment, add_alignments, source_positions

# two target words and EOS over two source words and EOS
ATTENTION = torch.tensor([[0.1, 0.3, 0.6], [0.5, 0.4, 0.1], [0.0, 0.2, 0.8]])


def test_hard():
    alignment = Alignment(ATTENTION, soft=False)
    assert list(alignment) == [(1, 0), (0, 1)]  # source-target; EOS tokens are not aligned
    assert [alignment[target] for target in range(len(alignment))] == [1, 0]


def test_soft():
    assert list(Alignment(ATTENTION, soft=True))[1] == ["0.500000", "0.400000", "0.100000"]
    assert len(list(Alignment(ATTENTION, soft=True))) == 3


def test_empty_translation_and_empty_source():
    assert list(Alignment(ATTENTION[2:], soft=False)) == []
    assert list(Alignment(torch.ones(1, 1), soft=False)) == []
    assert list(Alignment(torch.ones(2, 1), soft=False)) == [(0, 0)]


def test_positions_of_words():
    """Sources are padded (1) on either side, and BOS (0) is not a word."""
    source = torch.tensor([[1, 1, 0, 5, 2], [0, 5, 6, 2, 1]])
    assert source_positions(source, pad=1, source_bos=1) == [slice(3, 5), slice(1, 4)]
    assert source_positions(source, pad=1, source_bos=0) == [slice(2, 5), slice(0, 4)]


def test_alignments_of_fairseqs_own_hypotheses():
    """Attention is (S, T) in a search and (T, S) in its scorer, also if S = T; the source has one PAD on the left."""
    padded = torch.cat([torch.zeros(3, 1), ATTENTION], dim=1)  # (T, S)
    square = torch.cat([padded, torch.zeros(1, 4)])  # a padding of the target
    for attention, target_first in ((padded.t(), False), (padded, True), (square, True)):
        hypothesis = {"tokens": torch.tensor([7, 8, 2]), "attention": attention, "alignment": None}
        without = {"tokens": torch.tensor([2]), "attention": torch.empty(0), "alignment": "fairseq's"}
        add_alignments([[hypothesis, without]], [slice(1, 4)], soft=False, target_first=target_first)
        assert list(hypothesis["alignment"]) == [(1, 0), (0, 1)] and without["alignment"] == "fairseq's"
