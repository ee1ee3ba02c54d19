"""Tests the int8 linear layer: equal to 64-bit numpy integers, and independent of the batch and the kernel."""

import numpy as np
import pytest
import torch

from gnmt.quantization import int8_kernels
from gnmt.quantization.int8_linear import Int8Linear, quantize_inputs, quantize_rows
from gnmt.quantization.int8_kernels import (
    ACTIVATION_QMAX_7BIT, ACTIVATION_QMAX_8BIT, FEW_ROWS, WEIGHT_QMAX, FbgemmFp16Matmul, OneDnnInt8Matmul,
    FloatMatmul, has_exact_fp16_matmul, make_kernels, onednn_activation_qmax,
)  # fmt: skip


def test_rows_by_hand():
    """The largest element of each row becomes 127; a row of zeros has scale 1."""
    integers, scale = quantize_rows(torch.tensor([[-10.0, 5.0, 0.04], [0.0, 0.0, 0.0], [254.0, 1.0, -2.9]]))
    assert integers.tolist() == [[-127, 64, 1], [0, 0, 0], [127, 0, -1]]  # 63.5 is rounded to the even 64, 0.508 to 1
    torch.testing.assert_close(scale, torch.tensor([10 / 127, 1.0, 2.0]))


@pytest.mark.parametrize("qmax", [ACTIVATION_QMAX_8BIT, ACTIVATION_QMAX_7BIT])
def test_inputs_by_hand(qmax):
    inputs, scale = quantize_inputs(torch.tensor([[2.0, -0.5, 0.0], [0.0, 0.0, 0.0]]), qmax)
    quarter = round(qmax / 4)  # 31.75 to 32, 15.75 to 16
    assert inputs.tolist() == [[qmax, -quarter, 0], [0] * 3]
    assert scale[0].item() == pytest.approx(2 / qmax)


def integer_arithmetic(weight, bias, inputs, qmax: int, limit) -> np.ndarray:
    """Slow twin in numpy: 64-bit integers, float64 scales.

    Inputs are within +-limit, or have one scale for each row.
    """
    w, x = weight.numpy(), inputs.numpy()
    weight_scale = np.abs(w).max(axis=1) / np.float32(127)
    input_scale = (np.abs(x).max(axis=1) if limit is None else np.full(len(x), np.float32(limit))) / np.float32(qmax)
    whole_weight = np.rint(w / weight_scale[:, None]).astype(np.int64)
    whole_inputs = np.clip(np.rint(x / input_scale[:, None]), -qmax, qmax).astype(np.int64)
    products = whole_inputs @ whole_weight.T
    return products * input_scale[:, None].astype(np.float64) * weight_scale.astype(np.float64) + bias.numpy()


@pytest.fixture(params=["onednn", "floats"])
def kernel(request, monkeypatch):
    """Fixture: the kernel for this processor, and the portable kernel."""
    if request.param == "onednn" and onednn_activation_qmax() is None:
        pytest.skip("this torch has no 8-bit product")
    if request.param == "floats":
        monkeypatch.setattr(int8_kernels, "onednn_activation_qmax", lambda: None)


@pytest.mark.parametrize("limit", [None, 2.0])
@pytest.mark.parametrize("rows", [1, 5, 33])
@pytest.mark.parametrize("inputs,outputs", [(64, 32), (37, 19), (1500, 8)])
def test_equals_integer_arithmetic(kernel, rows, inputs, outputs, limit):
    torch.manual_seed(rows)
    weight, bias, x = torch.randn(outputs, inputs), torch.randn(outputs), torch.randn(rows, inputs) * 3
    layer = Int8Linear(weight, bias, limit)
    expected = integer_arithmetic(weight, bias, x, layer.kernels.qmax, limit)
    # the integers are equal; only the two scales and the bias are applied in float32
    np.testing.assert_allclose(layer(x).double().numpy(), expected, rtol=2e-6, atol=2e-6 * np.abs(expected).max())


def test_the_largest_sums_are_exact(kernel):
    """All products have their largest value and one sign, which would overflow 16-bit sums."""
    weight = torch.full((8, 128), 127.0)
    x = torch.tensor([1.0, -1.0])[:, None].expand(2, 128)
    torch.testing.assert_close(Int8Linear(weight)(x), 127.0 * 128 * torch.tensor([[1.0], [-1.0]]).expand(2, 8))


def test_a_row_does_not_depend_on_its_batch(kernel):
    torch.manual_seed(2)
    layer, x = Int8Linear(torch.randn(24, 40)), torch.randn(2 * FEW_ROWS, 40)
    x[3] *= 1000  # with one scale for the batch, the other rows would be rounded to 0
    together = layer(x)
    for row in range(len(x)):
        assert torch.equal(layer(x[row : row + 1])[0], together[row])
    assert torch.equal(layer(x.view(2, FEW_ROWS, 40)), together.view(2, FEW_ROWS, 24))


@pytest.mark.skipif(
    onednn_activation_qmax() is None or not has_exact_fp16_matmul(), reason="this torch lacks one of the kernels"
)
@pytest.mark.parametrize("rows", [1, FEW_ROWS, FEW_ROWS + 1, 100])
def test_kernels_agree_bit_for_bit(rows):
    """Largest integers with random signs: sums are near the limit of exact float32 integers."""
    torch.manual_seed(3)
    weight = torch.randint(0, 2, (33, 2000)).mul_(2).sub_(1).mul_(WEIGHT_QMAX).to(torch.int8)
    weight[0] = WEIGHT_QMAX
    scale = torch.rand(33) + 0.1
    integers = torch.randint(-ACTIVATION_QMAX_7BIT, ACTIVATION_QMAX_7BIT + 1, (rows, 2000)).float()
    integers[0] = ACTIVATION_QMAX_7BIT
    expected = FloatMatmul(weight, scale)(integers)
    assert expected[0, 0] == 2000 * WEIGHT_QMAX * ACTIVATION_QMAX_7BIT * scale[0]
    assert torch.equal(OneDnnInt8Matmul(weight, scale, ACTIVATION_QMAX_7BIT)(integers), expected)
    assert torch.equal(FbgemmFp16Matmul(weight, scale)(integers), expected)


@pytest.mark.skipif(onednn_activation_qmax() is None, reason="this torch has no 8-bit product")
@pytest.mark.parametrize("qmax", [ACTIVATION_QMAX_8BIT, ACTIVATION_QMAX_7BIT])
@pytest.mark.parametrize("inputs", [1000, 1041, 2097, 8001])
@pytest.mark.parametrize("rows", [1, 40])
def test_sums_beyond_24_bits_are_rounded_to_the_nearest_float(rows, inputs, qmax):
    """The largest sum needs more than 24 bits from 1041 inputs with qmax 127, and from 2097 with qmax 63."""
    qmax = min(qmax, onednn_activation_qmax())
    weight = torch.full((9, inputs), WEIGHT_QMAX, dtype=torch.int8)
    weight[1:] = torch.randint(1, WEIGHT_QMAX + 1, (8, inputs), generator=torch.Generator().manual_seed(4))
    scale = torch.rand(9, generator=torch.Generator().manual_seed(5)) + 0.1
    integers = torch.full((rows, inputs), float(qmax))
    sums = integers.numpy().astype(np.int64) @ weight.numpy().astype(np.int64).T
    assert sums[0, 0] == inputs * qmax * WEIGHT_QMAX
    expected = torch.from_numpy(sums.astype(np.float32)) * scale
    assert torch.equal(OneDnnInt8Matmul(weight, scale, qmax)(integers), expected)
    assert torch.equal(FloatMatmul(weight, scale)(integers), expected)


def test_sums_that_floats_do_not_hold_are_left_to_integers(monkeypatch):
    monkeypatch.setattr(int8_kernels, "onednn_activation_qmax", lambda: ACTIVATION_QMAX_7BIT)
    monkeypatch.setattr(int8_kernels, "has_exact_fp16_matmul", lambda: True)
    for inputs, kernel_class in ((2096, FbgemmFp16Matmul), (2097, OneDnnInt8Matmul)):  # 2^24 / (127 * 63) = 2096.9
        products = make_kernels(torch.ones(8, inputs, dtype=torch.int8), torch.ones(8))
        assert isinstance(products.few_rows, kernel_class) and isinstance(products.many_rows, OneDnnInt8Matmul)
