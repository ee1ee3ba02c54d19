"""Tests the attention of int8 and bf16 decoding against the network's attention, with float products in place of
integer products.
"""

import pytest
import torch

from gnmt.inference.packed_linear import PlainLinear
from gnmt.inference.bahdanau_attention import BatchInvariantBahdanauAttention, sum_by_halves
from gnmt.network.attention import NormalizedBahdanauAttention


@torch.no_grad()
@pytest.mark.parametrize("hidden_size", [1, 33, 100])
def test_equals_the_network_s_attention(hidden_size):
    torch.manual_seed(hidden_size)
    attention = NormalizedBahdanauAttention(hidden_size)
    for parameter in attention.parameters():
        torch.nn.init.uniform_(parameter, -1, 1)
    outputs, query = torch.randn(3, 6, hidden_size), torch.randn(3, 4, hidden_size)
    padding = torch.tensor([[0, 0, 0, 0, 0, 0], [1, 1, 1, 0, 0, 0], [0, 1, 1, 1, 1, 1]]).bool()
    _, weights = attention(query, attention.precompute(outputs, padding))

    batch_invariant = BatchInvariantBahdanauAttention(attention, PlainLinear)
    keys = batch_invariant.project_keys(outputs)
    actual = batch_invariant.weights(batch_invariant.project_query(query), keys, padding)
    torch.testing.assert_close(actual, weights, rtol=1e-4, atol=1e-6)
    assert (actual.masked_select(padding[:, None].expand_as(actual)) == 0).all()


@pytest.mark.parametrize("size", [1, 2, 5, 31, 32, 33, 100, 1024])
@pytest.mark.parametrize("columns", [1, 32])
def test_sums_by_halves(size, columns):
    terms = torch.randint(-9, 9, (2, 3, size)).float()
    sums = sum_by_halves(terms.clone(), columns)
    assert sums.size(2) <= max(columns, 1) and torch.equal(sums.sum(dim=2), terms.sum(dim=2))
