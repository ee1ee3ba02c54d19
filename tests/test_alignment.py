"""What fairseq reads off an alignment, by hand."""
import torch

from gnmt.search.alignment import Alignment

# two target words and the end mark over two source words and the end mark
ATTENTION = torch.tensor([[0.1, 0.3, 0.6], [0.5, 0.4, 0.1], [0.0, 0.2, 0.8]])


def test_hard():
    alignment = Alignment(ATTENTION, soft=False)
    assert list(alignment) == [(1, 0), (0, 1)]  # source-target; the end marks align with nothing
    assert [alignment[target] for target in range(len(alignment))] == [1, 0]


def test_soft():
    assert list(Alignment(ATTENTION, soft=True))[1] == ["0.500000", "0.400000", "0.100000"]
    assert len(list(Alignment(ATTENTION, soft=True))) == 3


def test_empty_translation_and_empty_source():
    assert list(Alignment(ATTENTION[2:], soft=False)) == []
    assert list(Alignment(torch.ones(1, 1), soft=False)) == []
    assert list(Alignment(torch.ones(2, 1), soft=False)) == [(0, 0)]
