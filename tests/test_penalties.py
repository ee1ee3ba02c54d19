"""The penalties against sums worked out by hand."""
import math

import pytest
import torch

from gnmt.search.penalties import coverage_penalty, length_penalty


def test_length_penalty():
    assert length_penalty(7, 1.0) == 2.0  # (5 + 7) / 6
    assert length_penalty(7, 0.5) == pytest.approx(math.sqrt(2))
    assert length_penalty(7, 0.0) == 1.0
    assert length_penalty(6, 1.0, const=2.0) == pytest.approx(8 / 3)
    assert length_penalty(torch.tensor([1, 7]), 1.0).tolist() == [1.0, 2.0]


def test_coverage_penalty():
    coverage = torch.tensor([[0.5, 1.0, 3.0], [0.25, 0.5, 0.0]])
    padding = torch.tensor([[False, False, False], [False, False, True]])
    # 0.2 * (log 1/2 + 0 + 0); 0.2 * (log 1/4 + log 1/2), the padding is free
    expected = torch.tensor([0.2 * math.log(1 / 2), 0.2 * math.log(1 / 8)])
    torch.testing.assert_close(coverage_penalty(coverage, padding, 0.2), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_no_attention_at_all_is_finite(dtype):
    penalty = coverage_penalty(torch.zeros(1, 2, dtype=dtype), torch.zeros(1, 2, dtype=torch.bool), 1.0)
    assert penalty.dtype == torch.float32
    assert penalty.item() == pytest.approx(2 * math.log(torch.finfo(torch.float32).tiny))
