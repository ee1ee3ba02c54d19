"""Tests fixed-point rounding, whose sums do not depend on their order.

Expected values are worked out by hand or in 64-bit integers.
"""

import math

import numpy as np
import pytest
import torch

from gnmt.quantization.fixed_point import order_free_sum, round_values, round_weights


def test_a_sum_depends_neither_on_the_order_nor_on_zeros():
    generator = torch.Generator().manual_seed(1)
    terms = torch.randn(4000, generator=generator) * torch.logspace(-8, 1, 4000)
    expected = order_free_sum(terms)
    assert float(expected) == pytest.approx(math.fsum(terms.tolist()), abs=4000 * 2**-30 + 1e-5)
    for size in (0, 1, 17, 5000):
        shuffled = torch.cat([terms, torch.zeros(size)])[torch.randperm(4000 + size, generator=generator)]
        assert torch.equal(order_free_sum(shuffled), expected)


def test_values_by_hand():
    """If the largest value of a column is below 2^e, the unit is 2^(e - 11): 1/512 below 4, 1/2048 below 1."""
    values = torch.tensor([[[3.0, 0.0, -0.6], [1.0004, 0.0, 0.00023], [-0.0011, 0.0, 0.00025]]])
    expected = [[3.0, 0.0, -1229 / 2048], [1.0, 0.0, 0.0], [-1 / 512, 0.0, 1 / 2048]]
    assert round_values(values)[0].tolist() == expected


def test_weights_by_hand():
    assert round_weights(torch.tensor([0.0, 1.0, 0.5001, 0.0001, 0.0002])).tolist() == [0, 1, 0.5, 0, 1 / 4096]


@pytest.mark.parametrize("positions", [1, 7, 300, 8192])
def test_contexts_are_exact(positions):
    """Compares with 64-bit integers at the limits: largest values in each column, and weights rounded up."""
    generator = torch.Generator().manual_seed(positions)
    weights = torch.rand(1, 3, positions, generator=generator).softmax(dim=2)
    weights[:, 1] = 0
    weights[:, 1, : min(positions, 2700)] = 1.5 / 4096 + 1e-6 if positions > 2700 else 1 / positions
    values = torch.randn(1, positions, 5, generator=generator)
    values[:, :, 0] = 1.999
    weights, values = round_weights(weights), round_values(values)
    units = np.exp2(np.ceil(np.log2(values.abs().amax(dim=1).numpy())) - 11)
    whole = np.rint(weights.numpy() * 4096).astype(np.int64) @ np.rint(values.numpy() / units).astype(np.int64)
    assert np.array_equal(torch.bmm(weights, values).double().numpy(), whole * units / 4096)
    mirrored = torch.bmm(weights.flip(2), values.flip(1))
    assert torch.equal(mirrored, torch.bmm(weights, values))
