"""Tests length and coverage penalties against values worked out by hand."""

import math

import pytest
import torch

from gnmt.search.penalties import GNMTLengthPenalty, coverage_penalty
from reference.tabulated_penalty import TabulatedLengthPenalty


def test_length_penalty():
    six, seven = torch.tensor(6), torch.tensor(7)
    assert GNMTLengthPenalty(1.0)(seven) == 2.0  # (5 + 7) / 6
    assert GNMTLengthPenalty(0.5)(seven).item() == pytest.approx(math.sqrt(2))
    assert GNMTLengthPenalty(0.0)(seven) == 1.0
    assert GNMTLengthPenalty(1.0, const=2.0)(six).item() == pytest.approx(8 / 3)
    assert GNMTLengthPenalty(1.0)(torch.tensor([1, 7])).tolist() == [1.0, 2.0]
    assert GNMTLengthPenalty(1.0).largest(torch.tensor([2, 2]), torch.tensor([7, 13])).tolist() == [2.0, 3.0]


def test_length_penalty_does_not_depend_on_the_place_in_the_batch():
    lengths = torch.arange(1, 60)
    whole = GNMTLengthPenalty(0.6)(lengths)
    assert whole.dtype == torch.float32
    for start in range(20):
        for end in range(start + 1, 60):
            assert torch.equal(GNMTLengthPenalty(0.6)(lengths[start:end]), whole[start:end])


def test_tabulated_length_penalty():
    penalty = TabulatedLengthPenalty((1.0, 0.5, 3.0, 0.25, 2.0))
    assert penalty(torch.tensor([[1, 3], [5, 9]])).tolist() == [[1.0, 3.0], [2.0, 2.0]]
    last = torch.arange(1, 8)
    assert penalty.largest(torch.full((7,), 1), last).tolist() == [1, 1, 3, 3, 3, 3, 3]
    assert penalty.largest(torch.full((7,), 4), last)[3:].tolist() == [0.25, 2, 2, 2]  # all lengths from 4 on
    assert penalty.largest(torch.tensor([7]), torch.tensor([7])).tolist() == [2]


def test_coverage_penalty():
    coverage = torch.tensor([[0.5, 1.0, 3.0], [0.25, 0.5, 0.0]])
    padding = torch.tensor([[False, False, False], [False, False, True]])
    # 0.2 * (log 1/2 + 0 + 0); 0.2 * (log 1/4 + log 1/2): padding has no penalty
    expected = torch.tensor([0.2 * math.log(1 / 2), 0.2 * math.log(1 / 8)])
    torch.testing.assert_close(coverage_penalty(coverage, padding, 0.2), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_no_attention_at_all_is_finite(dtype):
    penalty = coverage_penalty(torch.zeros(1, 2, dtype=dtype), torch.zeros(1, 2, dtype=torch.bool), 1.0)
    assert penalty.dtype == torch.float32
    assert penalty.item() == pytest.approx(2 * math.log(torch.finfo(torch.float32).tiny))
