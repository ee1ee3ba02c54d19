"""Tests the attention of int8 and bf16 decoding against the network's attention, with float products in place of
integer products.
"""

import pytest
import torch

from gnmt.inference.packed_linear import PlainLinear
from gnmt.inference.bahdanau_attention import (
    MAX_PROJECTED,
    BatchInvariantBahdanauAttention,
    exponential_factors,
    row_invariant_scores,
)
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


def test_exponential_factors_give_tanh_of_the_sum():
    torch.manual_seed(1)
    queries, keys = torch.empty(2, 10_000).uniform_(-MAX_PROJECTED, MAX_PROJECTED)
    tanh = 2 / (1 + exponential_factors(queries.clone()) * exponential_factors(keys.clone())) - 1
    torch.testing.assert_close(tanh.double(), torch.tanh(queries.double() + keys.double()), rtol=0, atol=2e-7)


def test_exponential_factors_do_not_overflow():
    """Products of the factors of very large numbers are finite, and sums of large numbers of one sign are saturated."""
    values = torch.tensor([-1e30, -500.0, -25.0, 0.0, 25.0, 500.0, 1e30])
    factors = exponential_factors(values.clone())
    products = factors[:, None] * factors
    assert products.isfinite().all() and (products > 0).all()
    tanh = 2 / (1 + products) - 1
    assert (tanh[:3, :3] == -1).all() and (tanh[4:, 4:] == 1).all()


@pytest.mark.parametrize("hidden_size", [1, 5, 16, 33, 256, 1000])
def test_scores_of_a_row_are_equal_in_every_batch(hidden_size):
    """Bit for bit, with any number of sentences, queries, source positions and threads."""
    torch.manual_seed(hidden_size)
    queries, keys = torch.rand(40, 6, hidden_size), torch.rand(40, 50, hidden_size)
    direction = torch.randn(hidden_size)
    expected = torch.cat(
        [
            row_invariant_scores(query[None, None], key[None, None], direction)
            for query, key in zip(queries[:, 0], keys[:, 0])
        ]
    )
    threads = torch.get_num_threads()
    try:
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            for sentences, rows, source in ((1, 6, 50), (3, 2, 7), (40, 6, 50), (40, 1, 1)):
                scores = row_invariant_scores(queries[:sentences, :rows], keys[:sentences, :source], direction)
                assert torch.equal(scores[:, :1, :1], expected[:sentences])
    finally:
        torch.set_num_threads(threads)
