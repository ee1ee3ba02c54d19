"""The decoder of the search against the network's own, its slow twin."""
from types import SimpleNamespace

import pytest
import torch

from conftest import make_dictionary, make_model
from fairseq_gnmt.inference import bottom_gates as bottom_gates_module
from fairseq_gnmt.inference import packed_linear
from fairseq_gnmt.inference.bottom_gates import ComputedGates, TabulatedGates
from fairseq_gnmt.inference.packed_linear import PackedLinear, PlainLinear, inference_linear
from fairseq_gnmt.inference.step_decoder import StepDecoder

DICTIONARY = make_dictionary(23)
CLOSE = {"rtol": 1e-4, "atol": 1e-5}  # float32, the same sums in another order
NO_OPTIONS = SimpleNamespace(generation=SimpleNamespace())


def large_weights(arch: str, **options):
    model = make_model(arch, DICTIONARY, hidden_size=12, **options)
    for parameter in model.parameters():  # larger than the initial ones: differences show
        torch.nn.init.uniform_(parameter, -0.6, 0.6)
    return model


@torch.no_grad()
@pytest.mark.parametrize("make_linear", [PackedLinear, PlainLinear])
@pytest.mark.parametrize("table_bytes,kind", [(23 * 4 * 12 * 4, TabulatedGates), (23 * 4 * 12 * 4 - 1, ComputedGates)])
@pytest.mark.parametrize("arch,layers", [("gnmt_v2", 4), ("gnmt_v2", 2), ("gnmt", 5)])
def test_equals_the_network_step_by_step(arch, layers, table_bytes, kind, make_linear, monkeypatch):
    """With a table of what words add to the bottom gates (V x 4H floats) and without."""
    monkeypatch.setattr(bottom_gates_module, "TABLE_BYTES", table_bytes)
    model = large_weights(arch, encoder_layers=2, decoder_layers=layers)
    source = torch.tensor([[4, 5, 6, 7, 2], [1, 1, 8, 9, 2]])
    encoder_out = model.encoder(source, None)
    gates = bottom_gates_module.bottom_gates(model.decoder, make_linear)
    assert type(gates) is kind
    slow, fast = model.decoder, StepDecoder(model.decoder, gates, make_linear)
    memories = [decoder.remember(encoder_out) for decoder in (slow, fast)]
    states = [decoder.initial_state(memory) for decoder, memory in zip((slow, fast), memories)]
    for tokens in ([2, 2], [4, 5, 6, 7, 8, 9], [9, 8, 7, 6, 5, 4]):  # a hypothesis a sentence, then three
        tokens = torch.tensor(tokens)
        if len(tokens) == 6 and len(states[0].hidden[0]) == 2:
            states = [state.reorder(torch.tensor([0, 0, 0, 1, 1, 1])) for state in states]
        (logits, weights, slow_state), (fast_logits, fast_weights, fast_state) = (
            decoder.step(tokens, memory, state) for decoder, memory, state in zip((slow, fast), memories, states)
        )
        torch.testing.assert_close(fast_logits, logits, **CLOSE)
        torch.testing.assert_close(fast_weights, weights, **CLOSE)
        torch.testing.assert_close(tuple(fast_state), tuple(slow_state), **CLOSE)
        states = [slow_state, fast_state]


@torch.no_grad()
@pytest.mark.parametrize("rows", [1, 5, 40])
@pytest.mark.parametrize("bias", [True, False])
def test_packed_products(rows, bias):
    torch.manual_seed(4)
    weight, inputs = torch.randn(33, 20), torch.randn(2, rows, 20)
    offset = torch.randn(33) if bias else None
    wanted = torch.nn.functional.linear(inputs, weight, offset)
    torch.testing.assert_close(PackedLinear(weight, offset)(inputs), wanted)
    assert torch.equal(PlainLinear(weight, offset)(inputs), wanted)


def test_packed_where_that_is_possible(monkeypatch):
    weight = torch.randn(4, 3)
    assert isinstance(inference_linear(weight), PackedLinear)
    assert isinstance(inference_linear(weight.half()), PlainLinear)
    monkeypatch.setattr(packed_linear.torch.ops, "mkldnn", SimpleNamespace())  # a torch without the operators
    assert isinstance(inference_linear(weight), PlainLinear)
