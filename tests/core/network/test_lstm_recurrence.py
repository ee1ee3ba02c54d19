"""Tests the LSTM recurrence against its equations (reference/plain_lstm.py), in float64 and in half precision."""

import math

import pytest
import torch

from gnmt.network.recurrence import lstm_recurrence
from reference.plain_lstm import plain_lstm

ROUNDING = {torch.float16: 2**-11, torch.bfloat16: 2**-8}  # largest relative error


def arguments(positions: int, device, rows: int = 2, inputs: int = 3, size: int = 4) -> list:
    """Returns inputs, initial states and weights in float64; pre-activations have a variance of about 1."""
    torch.manual_seed(3)
    shapes = [(positions, rows, inputs), (rows, size), (rows, size), (4 * size, inputs), (4 * size, size), (4 * size,)]
    tensors = [torch.randn(shape, dtype=torch.double) for shape in shapes]
    for weight in tensors[3:5]:
        weight /= math.sqrt(weight.size(1))
    return [tensor.to(device).requires_grad_() for tensor in tensors]


def gradients(result, given) -> tuple:
    torch.manual_seed(4)
    loss = sum((torch.randn(part.shape, dtype=torch.double).to(part) * part).sum() for part in result)
    return torch.autograd.grad(loss, given)


@pytest.mark.parametrize("limit", [None, 0.5, 100.0])
def test_equals_the_equations(limit, device):
    """Values and all gradients in float64. With limit 0.5 many cell states are clipped, with 100 none."""
    given = arguments(5, device)
    hiddens, cell = lstm_recurrence(*given, limit, torch.double)
    plain_hiddens, plain_cells = plain_lstm(*given, limit)
    torch.testing.assert_close((hiddens, cell), (plain_hiddens, plain_cells[-1]))
    clipped = sum(abs(state) == limit for state in plain_cells.flatten().tolist())
    assert clipped > 4 if limit == 0.5 else clipped == 0
    torch.testing.assert_close(gradients((hiddens, cell), given), gradients((plain_hiddens, plain_cells[-1]), given))


def test_gradient_of_one_result(device):
    """The other result does not contribute to the loss."""
    given = arguments(3, device)
    for index in (0, 1):
        actual, (hiddens, cells) = lstm_recurrence(*given, None, torch.double), plain_lstm(*given, None)
        plain = (hiddens, cells[-1])[index]
        torch.testing.assert_close(gradients([actual[index]], given), gradients([plain], given))


@pytest.mark.parametrize("precision", ROUNDING)
def test_half_precision_is_close_to_float64(precision, device):
    """Compares relative errors of values and gradients, as vectors.

    From one position to the next and back at most seven values are rounded. These are the input, the weight, the
    product with the inputs, the sum, the hidden state, the gate saved for backward, and the gradient of the sum. Each
    error is at most u with random sign, so n errors add up to about u sqrt(n / 3). For 6 positions and 7 roundings this
    is 3.7 u if no error decays.
    """
    given = arguments(6, device, rows=16, inputs=24, size=32)
    single = [tensor.detach().float().requires_grad_() for tensor in given]
    actual, (hiddens, cells) = lstm_recurrence(*single, None, precision), plain_lstm(*given, None)
    expected = hiddens, cells[-1]
    assert actual[0].dtype == precision and actual[1].dtype == torch.float32
    actual_gradients = gradients(actual, single)
    assert all(gradient.dtype == torch.float32 for gradient in actual_gradients)
    for value, exact in zip([*actual, *actual_gradients], [*expected, *gradients(expected, given)]):
        error = ((value.double() - exact).norm() / exact.norm()).item()
        assert 0.1 * ROUNDING[precision] < error < math.sqrt(6 * 7 / 3) * ROUNDING[precision]


def test_cell_states_stay_in_float32(device):
    """512 positions add 2^-9 each. In bfloat16 the sum would stop at 0.5, where 2^-9 is half the spacing."""
    bias = torch.tensor([30.0, 30.0, 2**-9, 30.0], device=device)
    nothing = torch.zeros(512, 1, 1, device=device)
    _, cell = lstm_recurrence(nothing, *nothing[:2], *[nothing[:4, 0]] * 2, bias, None, torch.bfloat16)
    assert cell.item() == pytest.approx(1, rel=1e-4)
