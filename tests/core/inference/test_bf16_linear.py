"""Tests the bfloat16 linear layer against float64, and its independence of batch and threads."""

import pytest
import torch

from gnmt.inference import bf16_linear
from gnmt.inference.bf16_linear import Bf16Linear, EmulatedBf16Linear
from gnmt.inference.packed_linear import has_packed_linear

needs_operators = pytest.mark.skipif(
    not has_packed_linear() or not torch.ops.mkldnn._is_mkldnn_bf16_supported(),
    reason="oneDNN has no products in bfloat16 on this processor",
)
LAYERS = [pytest.param(Bf16Linear, marks=needs_operators), EmulatedBf16Linear]


def random_layer(inputs: int, outputs: int):
    generator = torch.Generator().manual_seed(1)
    weight = torch.randn(outputs, inputs, generator=generator) / inputs**0.5
    return weight, torch.randn(outputs, generator=generator), torch.randn(320, inputs, generator=generator)


@pytest.mark.parametrize("make", LAYERS)
def test_weights_and_inputs_are_rounded_once_and_the_sums_once(make):
    weight, bias, inputs = random_layer(64, 48)
    exact = (inputs.bfloat16().double() @ weight.bfloat16().double().t() + bias.double()).float()
    actual = make(weight, bias)(inputs.view(8, 40, 64)).view(320, 48)
    assert actual.dtype == torch.float32
    torch.testing.assert_close(actual, exact, rtol=2**-8, atol=1e-5)
    is_equal = actual == exact.bfloat16().float()  # sums next to the midpoint of two numbers may be rounded differently
    assert is_equal.float().mean() > 0.99


@pytest.mark.parametrize("make", LAYERS)
def test_a_bias_stays_float32(make):
    """1 + 2^-9 cannot be represented in bfloat16; added to a product of -1 it gives 2^-9."""
    layer = make(torch.ones(1, 1), torch.tensor([1 + 2.0**-9]))
    assert layer(torch.tensor([[-1.0]])).item() == 2.0**-9
    assert make(torch.ones(1, 1))(torch.tensor([[-1.0]])).item() == -1


@needs_operators
@pytest.mark.parametrize("inputs, outputs", [(4096, 4096), (2048, 4096), (1024, 8000), (512, 1024), (20, 80), (33, 7)])
def test_a_row_does_not_depend_on_the_others(inputs, outputs):
    weight, bias, rows = random_layer(inputs, outputs)
    layer = Bf16Linear(weight, bias)
    whole = layer(rows)
    for count in (1, 2, 3, 5, 7, 16, 17, 33, 160, 319):
        for start in (0, 320 - count):
            assert torch.equal(layer(rows[start : start + count]), whole[start : start + count]), count


@needs_operators
def test_a_row_does_not_depend_on_the_number_of_threads():
    weight, bias, rows = random_layer(2048, 1024)
    layer, before = Bf16Linear(weight, bias), torch.get_num_threads()
    try:
        outputs = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            outputs += [layer(rows), layer(rows[:5]), layer(rows[:1])]
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(output, outputs[0][: len(output)]) for output in outputs)


def test_the_layer_is_chosen_by_the_processor(monkeypatch):
    monkeypatch.setattr(bf16_linear, "has_bf16_products", lambda: False)
    assert isinstance(bf16_linear.bf16_linear(torch.ones(2, 2)), EmulatedBf16Linear)
