"""The copies of a model that searches run."""
import functools
from types import SimpleNamespace

import pytest
import torch

from conftest import make_dictionary, make_model
from gnmt.errors import UserError
from gnmt.inference import model as inference_model
from gnmt.inference import packed_lstm
from gnmt.inference.packed_linear import PlainLinear
from gnmt.inference.packed_lstm import PackedLSTM
from gnmt.inference.recurrence import LSTMWithHoistedInputProjection
from gnmt.inference.fast_decoder import FastDecoder
from gnmt.inference.model import encoder_with, inference_model_for
from gnmt.quantization import int8_kernels

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
    assert inference_model_for(model, "int8") is not made
    model.half()
    assert inference_model_for(model).decoder.output_projection.weight.dtype == torch.float16


def test_quantisation_of_what_cannot_be(model):
    with pytest.raises(UserError, match="--quantize int8 is for translation"):
        inference_model_for(model, "int8")
    model.prepare_for_inference_(NO_OPTIONS)
    with pytest.raises(UserError, match="without --fp16"):
        inference_model_for(model.half(), "int8")


def test_missing_operators_are_told(model, monkeypatch, caplog):
    model.prepare_for_inference_(NO_OPTIONS)
    for module in (inference_model, int8_kernels):
        monkeypatch.setattr(module, "onednn_activation_qmax", lambda: None)
    inference_model_for(model, "int8")
    assert "no 8-bit products" in caplog.text and "no speed" in caplog.text


@torch.no_grad()
@pytest.mark.parametrize("make_layer", [functools.partial(LSTMWithHoistedInputProjection, make_linear=PlainLinear), PackedLSTM])
def test_encoder_with_other_layers_equals_the_network_s(model, make_layer):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    copied = encoder_with(model.encoder, make_layer)
    for ours, twin in zip(copied(SOURCE, None), model.encoder(SOURCE, None)):
        torch.testing.assert_close(ours, twin, rtol=1e-4, atol=1e-5)  # float32, the same sums in another order
    after = model.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in after)


def test_encoder_is_packed_where_that_is_possible(model, monkeypatch):
    def packed(of) -> bool:
        of.prepare_for_inference_(NO_OPTIONS)
        return all(isinstance(layer, PackedLSTM) for layer in inference_model_for(of).encoder.upper_layers)

    assert packed(model)
    assert not packed(make_model("gnmt", DICTIONARY, hidden_size=16, activation_clip=1.0))  # it clips
    assert not packed(make_model("gnmt_v2", DICTIONARY, hidden_size=16).half())
    monkeypatch.setattr(packed_lstm.torch.ops, "mkldnn", SimpleNamespace())  # a torch without the operators
    monkeypatch.setattr(inference_model, "inference_linear", PlainLinear)
    assert not packed(make_model("gnmt_v2", DICTIONARY, hidden_size=16))


def test_shared_embeddings_stay_shared_in_int8(model):
    model.prepare_for_inference_(NO_OPTIONS)
    quantized = inference_model_for(model, "int8")
    assert quantized.encoder.embed_tokens is quantized.decoder.gate_products[0].embed_tokens
    separate = make_model("gnmt_v2", DICTIONARY, hidden_size=16, no_share_embeddings=True)
    separate.prepare_for_inference_(NO_OPTIONS)
    quantized = inference_model_for(separate, "int8")
    assert not torch.equal(quantized.encoder.embed_tokens.weight, quantized.decoder.gate_products[0].embed_tokens.weight)


@torch.no_grad()
def test_int8_is_close_and_independent_of_the_batch(model):
    model.prepare_for_inference_(NO_OPTIONS)
    exact, quantized = inference_model_for(model), inference_model_for(model, "int8")

    def first_logits(halves, source):
        memory = halves.decoder.precompute(halves.encoder(source, None))
        return halves.decoder.step(torch.full((len(source),), 2), memory, halves.decoder.initial_state(memory))[0]

    wanted, found = first_logits(exact, SOURCE), first_logits(quantized, SOURCE)
    assert not torch.equal(wanted, found)
    # each product is off by about 1 %; logits here reach from about -5 to 5
    torch.testing.assert_close(found, wanted, rtol=0, atol=0.25)
    alone = first_logits(quantized, SOURCE[1:, 2:])
    torch.testing.assert_close(alone[0], found[1], rtol=1e-4, atol=1e-5)
