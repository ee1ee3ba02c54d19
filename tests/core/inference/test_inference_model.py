"""Tests inference copies of a model: caching, precisions and kernels. Expected values come from the model itself."""

import gc
import weakref
from types import SimpleNamespace

import pytest
import torch

from conftest import make_dictionary, make_model
from gnmt.errors import UserError
from gnmt.inference import model as inference_model
from gnmt.inference import bf16_linear, packed_lstm
from gnmt.inference.packed_linear import PackedLinear, PlainLinear, has_packed_linear
from gnmt.inference.packed_lstm import PackedLSTM
from gnmt.inference.fast_decoder import FastDecoder
from gnmt.inference.model import EncoderDecoder, default_precision, encoder_with, inference_model_for
from gnmt.precision import PRECISIONS
from gnmt.network.lstm import LSTM
from gnmt.quantization import int8_kernels
from gnmt.quantization.int8_linear import Int8Linear

DICTIONARY = make_dictionary(23)
NO_OPTIONS = SimpleNamespace(generation=SimpleNamespace())
SOURCE = torch.tensor([[4, 5, 6, 7, 2], [1, 1, 8, 9, 2]])


@pytest.fixture(params=["gnmt_v2", "gnmt_v2_8_layers", "gnmt"])
def model(request):
    model = make_model(request.param, DICTIONARY, hidden_size=16)
    for parameter in model.parameters():
        torch.nn.init.uniform_(parameter, -0.6, 0.6)
    return model


def test_made_once_and_only_when_training_is_over(model):
    assert inference_model_for(model) == (model.encoder, model.decoder)
    model.prepare_for_inference_(NO_OPTIONS)
    made = inference_model_for(model)
    assert isinstance(made.decoder, FastDecoder) and inference_model_for(model) is made
    quantized = inference_model_for(model, "int8")
    assert (
        quantized is not made and inference_model_for(model, "int8") is quantized and inference_model_for(model) is made
    )
    model.half()
    assert inference_model_for(model).decoder.output_projection.weight.dtype == torch.float16


def test_quantisation_of_what_cannot_be(model):
    with pytest.raises(UserError, match="^precision int8 is for translation"):
        inference_model_for(model, "int8")
    model.prepare_for_inference_(NO_OPTIONS)
    with pytest.raises(UserError, match="leave fp16 or precision out"):
        inference_model_for(model.half(), "int8")


def test_half_precision_of_another_network_or_device(model):
    model.prepare_for_inference_(NO_OPTIONS)
    with pytest.raises(UserError, match="^precision fp16 needs a GPU: give bf16, int8 or fp32"):
        inference_model_for(model, "fp16")
    with pytest.raises(UserError, match="precision is 'int4', but must be one of fp32, fp16, bf16, int8"):
        inference_model_for(model, "int4")
    network = EncoderDecoder(model.encoder, model.decoder).copied_to(torch.float16)  # simulates a GPU
    weights = [*network.encoder.parameters(), *network.decoder.parameters()]
    assert {weight.dtype for weight in weights} == {torch.float16}
    assert network.encoder.embed_tokens is network.decoder.embed_tokens
    assert model.decoder.output_projection.weight.dtype == torch.float32


def test_default_is_the_stored_precision_where_the_device_has_it():
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert [default_precision(name, cpu) for name in PRECISIONS] == ["fp32", "fp32", "bf16", "int8"]
    assert [default_precision(name, gpu) for name in PRECISIONS] == ["fp32", "fp16", "bf16", "fp32"]


def test_emulated_bfloat16_is_reported_and_nearly_equal(model, monkeypatch, caplog):
    model.prepare_for_inference_(NO_OPTIONS)
    native = logits_of(model, "bf16")
    for module in (inference_model, bf16_linear):
        monkeypatch.setattr(module, "has_bf16_products", lambda: False)
    model.load_state_dict(model.state_dict())  # counts as a change of the parameters, so copies are created again
    emulated = logits_of(model, "bf16")
    assert "no products in bfloat16" in caplog.text and "not faster" in caplog.text
    torch.testing.assert_close(emulated, native, rtol=0, atol=0.05)


@torch.no_grad()
@pytest.mark.parametrize("make", [PackedLinear, bf16_linear.Bf16Linear, bf16_linear.EmulatedBf16Linear, Int8Linear])
def test_layers_copy_weight_and_bias(make):
    if make in (PackedLinear, bf16_linear.Bf16Linear) and not has_packed_linear():
        pytest.skip("this torch has no packed weights")
    weight, bias, inputs = torch.randn(4, 3), torch.randn(4), torch.randn(2, 3)
    layer = make(weight, bias)
    before = layer(inputs).clone()
    weight.zero_()
    bias.zero_()
    assert torch.equal(layer(inputs), before)


@torch.no_grad()
def test_packed_lstms_copy_their_weights():
    lstm = LSTM(4, 4)
    if not packed_lstm.can_pack_lstms(lstm.weight_ih_l0):
        pytest.skip("this torch has no packed weights")
    packed, inputs = PackedLSTM(lstm), torch.randn(2, 3, 4)
    before = packed(inputs, lstm.zero_state(inputs), torch.nn.Identity())[0].clone()
    for parameter in lstm.parameters():
        parameter.zero_()
    assert torch.equal(packed(inputs, lstm.zero_state(inputs), torch.nn.Identity())[0], before)


def test_missing_operators_are_reported(model, monkeypatch, caplog):
    model.prepare_for_inference_(NO_OPTIONS)
    for module in (inference_model, int8_kernels):
        monkeypatch.setattr(module, "onednn_activation_qmax", lambda: None)
    inference_model_for(model, "int8")
    assert "no 8-bit products" in caplog.text and "not faster" in caplog.text


@torch.no_grad()
def test_encoder_with_packed_layers_equals_the_network_s(model):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    copied = encoder_with(model.encoder, PackedLSTM)
    for actual, expected in zip(copied(SOURCE, None), model.encoder(SOURCE)):
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)  # float32 sums in another order
    after = model.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in after)


def test_encoder_is_packed_where_that_is_possible(model, monkeypatch):
    def packed(of) -> bool:
        of.prepare_for_inference_(NO_OPTIONS)
        return all(isinstance(layer, PackedLSTM) for layer in inference_model_for(of).encoder.upper_layers)

    assert packed(model)
    assert not packed(make_model("gnmt", DICTIONARY, hidden_size=16, activation_clip=1.0))  # packed LSTMs cannot clip
    assert not packed(make_model("gnmt_v2", DICTIONARY, hidden_size=16).half())
    monkeypatch.setattr(packed_lstm.torch.ops, "mkldnn", SimpleNamespace())  # simulates a torch without the operators
    monkeypatch.setattr(inference_model, "inference_linear", PlainLinear)
    assert not packed(make_model("gnmt_v2", DICTIONARY, hidden_size=16))


def test_shared_embeddings_stay_shared_in_int8(model):
    model.prepare_for_inference_(NO_OPTIONS)
    quantized = inference_model_for(model, "int8")
    assert quantized.encoder.embed_tokens is quantized.decoder.gate_products[0].embed_tokens
    separate = make_model("gnmt_v2", DICTIONARY, hidden_size=16, no_share_embeddings=True)
    separate.prepare_for_inference_(NO_OPTIONS)
    quantized = inference_model_for(separate, "int8")
    assert not torch.equal(
        quantized.encoder.embed_tokens.weight, quantized.decoder.gate_products[0].embed_tokens.weight
    )


@torch.no_grad()
@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_integers_and_bfloat16_are_close_and_independent_of_the_batch(model, precision):
    model.prepare_for_inference_(NO_OPTIONS)
    exact, quantized = inference_model_for(model), inference_model_for(model, precision)

    def first_logits(network, source):
        memory = network.decoder.precompute(network.encoder(source))
        return network.decoder.step(torch.full((len(source),), 2), memory, network.decoder.initial_state(memory))[0]

    expected, actual = first_logits(exact, SOURCE), first_logits(quantized, SOURCE)
    assert not torch.equal(expected, actual)
    # each product has an error of about 1 %; logits are between about -5 and 5
    torch.testing.assert_close(actual, expected, rtol=0, atol=0.25)
    alone = first_logits(quantized, SOURCE[1:, 2:])
    torch.testing.assert_close(alone[0], actual[1], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def logits_of(model, precision: str) -> torch.Tensor:
    """Returns the logits of two steps, which depend on every weight of the model."""
    encoder, decoder = inference_model_for(model, precision)
    memory = decoder.precompute(encoder(SOURCE))
    first, _, state = decoder.step(torch.tensor([2, 2]), memory, decoder.initial_state(memory))
    return torch.cat([first, decoder.step(torch.tensor([7, 8]), memory, state)[0]])


def large_weights(seed: int, **options):
    model = make_model("gnmt_v2", DICTIONARY, seed, hidden_size=16, **options)
    for parameter in model.parameters():
        torch.nn.init.uniform_(parameter, -0.6, 0.6)
    model.prepare_for_inference_(NO_OPTIONS)
    return model


def replace_module(model, other):
    model.decoder.output_projection = other.decoder.output_projection


def swap_data(model, other):
    for parameter, new in zip(model.parameters(), other.parameters()):
        parameter.data = new.data.clone()


def copy_in_inference_mode(model, other):
    with torch.inference_mode():
        model.load_state_dict(other.state_dict())


@torch.no_grad()
def average(model, other):
    for parameter, new in zip(model.parameters(), other.parameters()):
        parameter.lerp_(new, 0.5)


def change_uncounted(model, other):
    """Changes parameters in place without increasing torch's version counters, as averaging scripts do."""
    for parameter, new in zip(model.parameters(), other.parameters()):
        parameter.data.copy_(new.data)


CHANGES = {
    "load_state_dict": lambda model, other: model.load_state_dict(other.state_dict()),
    "load_state_dict in inference mode": copy_in_inference_mode,
    "other storage": swap_data,
    "in place": average,
    "in place, uncounted": change_uncounted,
    "a replaced module": replace_module,
    "rounded to half precision and back": lambda model, other: model.half().float(),
}


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
@pytest.mark.parametrize("change", CHANGES)
def test_copies_follow_the_parameters(change, precision):
    model, other = large_weights(seed=1), large_weights(seed=2)
    before = logits_of(model, precision)
    CHANGES[change](model, other)
    after = logits_of(model, precision)
    fresh = large_weights(seed=3)
    fresh.load_state_dict({name: value.clone() for name, value in model.state_dict().items()})
    assert torch.equal(after, logits_of(fresh, precision))
    assert not torch.equal(after, before)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
def test_copies_follow_parameters_made_in_inference_mode(precision):
    """Tensors created in inference mode have no version counter."""
    with torch.inference_mode():
        model, other = large_weights(seed=1), large_weights(seed=2)
        before, expected = logits_of(model, precision), logits_of(other, precision)
        assert inference_model_for(model, precision) is inference_model_for(model, precision)
        model.load_state_dict(other.state_dict())
        assert torch.equal(logits_of(model, precision), expected) and not torch.equal(before, expected)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
def test_copies_follow_the_clipping_range(precision):
    """The clipping range decreases during training."""
    model, narrow = (large_weights(1, activation_clip=0.1, activation_clip_start=start) for start in (8.0, 0.1))
    before = logits_of(model, precision)
    model.encoder.clip.set_num_updates(1)
    narrow.load_state_dict(model.state_dict())
    assert torch.equal(logits_of(model, precision), logits_of(narrow, precision))
    assert not torch.equal(before, logits_of(model, precision))


def test_old_copies_are_dropped():
    model = large_weights(seed=1)
    for _ in range(2):
        old = [weakref.ref(inference_model_for(model, precision).decoder) for precision in ("fp32", "bf16", "int8")]
        model.load_state_dict(large_weights(seed=2).state_dict())
        inference_model_for(model)
        gc.collect()
        assert all(copy() is None for copy in old)
