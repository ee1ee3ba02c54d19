"""Tests the fast decoder of the search against the decoder of the network, its slow twin."""

from types import SimpleNamespace

import pytest
import torch

from conftest import make_dictionary, make_model
from gnmt.inference import gates
from gnmt.inference.attention import fast_attention
from gnmt.inference import packed_linear
from gnmt.inference.gates import RowParents, SplitGateProduct, adaptive_gate_products, fused_gate_products
from gnmt.inference.packed_linear import PackedLinear, PlainLinear, inference_linear
from gnmt.inference.context import FastContext
from gnmt.inference.fast_decoder import FastDecoder, FastDecoderState

DICTIONARY = make_dictionary(23)
CLOSE = {"rtol": 1e-4, "atol": 1e-5}  # float32 sums in another order
NO_OPTIONS = SimpleNamespace(generation=SimpleNamespace())


def large_weights(arch: str, **options):
    model = make_model(arch, DICTIONARY, hidden_size=12, **options)
    for parameter in model.parameters():  # larger than the initial weights, so that differences are visible
        torch.nn.init.uniform_(parameter, -0.6, 0.6)
    return model


TABLE = 23 * 4 * 12 * 4  # size in bytes of a table of 23 words with 4 x 12 gates
KINDS_OF_GATES = {
    "joined, packed": lambda decoder: fused_gate_products(decoder, PackedLinear),
    "joined, plain": lambda decoder: fused_gate_products(decoder, PlainLinear),
    "packed": adaptive_gate_products,
}


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS_OF_GATES)
@pytest.mark.parametrize("arch,layers", [("gnmt_v2", 4), ("gnmt_v2", 2), ("gnmt", 5)])
def test_equals_the_network_step_by_step(arch, layers, kind):
    assert_equal_steps(large_weights(arch, encoder_layers=2, decoder_layers=layers), KINDS_OF_GATES[kind])


@torch.no_grad()
@pytest.mark.parametrize("table_bytes,has_table", [(TABLE, True), (TABLE - 1, False)])
# rows are shared always; from six rows on; after the first two steps with two rows; never
@pytest.mark.parametrize("shared_from", [0, 6 * 12, 10**6])
def test_sharing_and_tables_change_nothing(shared_from, table_bytes, has_table, monkeypatch):
    monkeypatch.setattr(gates, "TABLE_BYTES", table_bytes)
    monkeypatch.setattr(gates, "MIN_SHARED_ELEMENTS", shared_from)
    model = large_weights("gnmt_v2", encoder_layers=2, decoder_layers=3, activation_clip=0.5)
    bottom = adaptive_gate_products(model.decoder)[0]
    assert isinstance(bottom, SplitGateProduct) == has_table
    assert_equal_steps(model, adaptive_gate_products)


def assert_equal_steps(model, gates_of):
    encoder_out = model.encoder(torch.tensor([[4, 5, 6, 7, 2], [1, 1, 8, 9, 2]]), None)
    attention = fast_attention(model.decoder.stack.attention, PackedLinear)
    context = FastContext(model.decoder.stack, PackedLinear)
    decoders = model.decoder, FastDecoder(model.decoder, gates_of(model.decoder), PackedLinear, attention, context)
    memories = [decoder.precompute(encoder_out) for decoder in decoders]
    states = [decoder.initial_state(memory) for decoder, memory in zip(decoders, memories)]
    parents_and_tokens = [
        (None, [2, 2]),  # one hypothesis for each sentence
        ([1, 0], [7, 7]),
        ([0, 0, 0, 1, 1, 1], [4, 5, 5, 7, 8, 9]),  # three
        ([2, 0, 2, 4, 4, 4], [9, 8, 9, 6, 5, 4]),  # two of the rows have no children
        (None, [4, 4, 5, 6, 7, 8]),
    ]
    for parents, tokens in parents_and_tokens:
        tokens = torch.tensor(tokens)
        if parents is not None:
            states = [state.reorder(torch.tensor(parents)) for state in states]
        (logits, weights, slow_state), (fast_logits, fast_weights, fast_state) = (
            decoder.step(tokens, memory, state) for decoder, memory, state in zip(decoders, memories, states)
        )
        torch.testing.assert_close(fast_logits, logits, **CLOSE)
        torch.testing.assert_close(fast_weights, weights, **CLOSE)
        torch.testing.assert_close(tuple(fast_state.last), tuple(slow_state), **CLOSE)
        states = [slow_state, fast_state]


def test_rows_can_be_reordered_twice():
    state = FastDecoderState(last=None, parents=torch.tensor([4, 3, 2]))
    assert state.reorder(torch.tensor([2, 2, 0])).reorder(torch.tensor([2, 0])).parents.tolist() == [4, 2]


def test_a_table_keeps_no_gradient():
    """Inference models can also be created outside of a search."""
    bottom = adaptive_gate_products(large_weights("gnmt_v2", encoder_layers=2, decoder_layers=2).decoder)[0]
    assert not bottom.input_product.table.requires_grad


def test_distinct_parents():
    distinct, places = RowParents(torch.tensor([7, 2, 2, 7, 0])).distinct
    assert distinct.tolist() == [0, 2, 7] and places.tolist() == [2, 1, 1, 2, 0]


@torch.no_grad()
def test_shared_rows_are_multiplied_once(monkeypatch):
    """U h is computed for the two continued hypotheses, and W x for the three distinct tokens."""
    monkeypatch.setattr(gates, "MIN_SHARED_ELEMENTS", 0)
    monkeypatch.setattr(gates, "TABLE_BYTES", 0)
    multiplied = []
    product = PackedLinear.forward
    monkeypatch.setattr(PackedLinear, "forward", lambda self, rows: multiplied.append(len(rows)) or product(self, rows))
    bottom, upper, _ = adaptive_gate_products(large_weights("gnmt_v2", encoder_layers=2, decoder_layers=3).decoder)
    hidden, parents = torch.randn(6, 12), RowParents(torch.tensor([1, 1, 4, 4, 4]))
    bottom(torch.tensor([9, 8, 9, 9, 7]), hidden, parents)
    assert sorted(multiplied) == [2, 3]
    multiplied.clear()
    upper(torch.randn(5, 12), hidden, parents)
    assert sorted(multiplied) == [2, 5]


@torch.no_grad()
@pytest.mark.parametrize("rows", [1, 5, 40])
@pytest.mark.parametrize("bias", [True, False])
def test_packed_products(rows, bias):
    torch.manual_seed(4)
    weight, inputs = torch.randn(33, 20), torch.randn(2, rows, 20)
    offset = torch.randn(33) if bias else None
    expected = torch.nn.functional.linear(inputs, weight, offset)
    torch.testing.assert_close(PackedLinear(weight, offset)(inputs), expected)
    assert torch.equal(PlainLinear(weight, offset)(inputs), expected)


def test_weights_are_packed_where_possible(monkeypatch):
    weight = torch.randn(4, 3)
    assert isinstance(inference_linear(weight), PackedLinear)
    assert isinstance(inference_linear(weight.half()), PlainLinear)
    monkeypatch.setattr(packed_linear.torch.ops, "mkldnn", SimpleNamespace())  # simulates a torch without the operators
    assert isinstance(inference_linear(weight), PlainLinear)
