"""Tests the LSTM cell of inference against torch.lstm_cell and against values worked out by hand."""

import pytest
import torch
from torch import nn

from gnmt.inference.packed_linear import PlainLinear
from gnmt.inference.gate_weights import gate_weights
from gnmt.inference.gates import FusedGateProduct, RowParents
from gnmt.inference.lstm import lstm_cell_from_gates
from gnmt.network.lstm import LSTM


@torch.no_grad()
@pytest.mark.parametrize("dtype, error", [(torch.float64, 1e-14), (torch.float32, 1e-6), (torch.float16, 2e-3)])
def test_cell_equals_torch(dtype, error):
    torch.manual_seed(6)
    lstm = LSTM(3, 4)
    for parameter in lstm.parameters():
        nn.init.uniform_(parameter, -2, 2)
    lstm = lstm.to(dtype)
    inputs, hidden, cell = (torch.randn(5, size).to(dtype) for size in (3, 4, 4))
    double = [weight.double() for weight in lstm._flat_weights]
    wanted_hidden, wanted_cell = torch.lstm_cell(inputs.double(), (hidden.double(), cell.double()), *double)
    product = FusedGateProduct(gate_weights(lstm, 3), PlainLinear)
    gates = product(inputs, hidden, RowParents(torch.arange(5)))
    found_hidden, found_cell = lstm_cell_from_gates(gates, cell, nn.Identity())
    assert found_hidden.dtype == dtype
    torch.testing.assert_close(found_hidden.double(), wanted_hidden, rtol=error, atol=error)
    torch.testing.assert_close(found_cell.double(), wanted_cell, rtol=error, atol=error)


@torch.no_grad()
def test_small_candidates_survive_half_precision():
    """In float16, sigmoid(2 g) - 1/2 = 0.00034 would be rounded to 0.00049."""
    gates = torch.tensor([[0.0, 0.0, 2 * 0.00068, 0.0]], dtype=torch.float16)
    _, cell = lstm_cell_from_gates(gates, torch.zeros(1, 1, dtype=torch.float16), nn.Identity())
    assert cell.item() == pytest.approx(0.00034, rel=2e-3)  # input gate times candidate: 1/2 x 0.00068


@torch.no_grad()
def test_weights_are_split_by_their_input():
    """Gate rows i, f, g, o of one unit with two inputs and one context value; row g is doubled."""
    lstm = LSTM(3, 1)
    lstm.weight_ih_l0.copy_(torch.arange(12.0).view(4, 3))
    lstm.weight_hh_l0.copy_(torch.arange(4.0)[:, None])
    lstm.bias_ih_l0.fill_(1)
    lstm.bias_hh_l0.copy_(torch.arange(4.0))
    weights = gate_weights(lstm, 2)
    assert weights.inputs.tolist() == [[0, 1], [3, 4], [12, 14], [9, 10]]
    assert weights.context.tolist() == [[2], [5], [16], [11]]
    assert weights.hidden.tolist() == [[0], [1], [4], [3]]
    assert weights.bias.tolist() == [1, 2, 6, 4]
