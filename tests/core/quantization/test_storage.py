"""Tests int8 storage of checkpoints. Expected values come from the float weights."""

from types import SimpleNamespace

import pytest
import torch

from conftest import make_dictionary, make_model
from gnmt.inference.model import inference_model_for
from gnmt.quantization.storage import to_floats, to_integers

DICTIONARY = make_dictionary(23)


@pytest.fixture
def model():
    return make_model("gnmt_v2", DICTIONARY, hidden_size=16)


def largest_of_blocks(name, state):
    """Returns the largest value of each row (O, 1), or of each block (O, I) that inference multiplies at once."""
    value, hidden_size = state[name], 16
    if not name.startswith("decoder.stack"):
        return value.abs().amax(dim=1, keepdim=True)
    layer = name[: name.index("weight_")]
    below, hidden = state[layer + "weight_ih_l0"][:, :hidden_size], state[layer + "weight_hh_l0"]
    largest = torch.cat([below, hidden], dim=1).abs().amax(dim=1, keepdim=True).expand(-1, value.size(1)).clone()
    if value.size(1) > hidden_size:
        largest[:, hidden_size:] = value[:, hidden_size:].abs().amax(dim=1, keepdim=True)
    return largest


def test_scales_without_blocks_are_read():
    """Early files store one scale for each row."""
    name = "decoder.stack.upper_lstms.0.weight_ih_l0"
    state = {
        name + ".int8": torch.tensor([[1, -2], [3, 127]], dtype=torch.int8),
        name + ".scale": torch.tensor([0.5, 2.0]),
    }
    to_floats(state)
    assert state[name].tolist() == [[0.5, -1.0], [6.0, 254.0]]


def test_floats_come_back_as_near_as_rounding_allows(model):
    state = model.state_dict()
    restored = to_integers(state)
    to_floats(restored)
    assert restored.keys() == state.keys()
    for name, value in state.items():
        if value.dim() == 2 and ".attention." not in name:
            half_a_step = largest_of_blocks(name, state) / 127 / 2
            assert ((restored[name] - value).abs() <= half_a_step * 1.0001).all(), name
        else:
            assert torch.equal(restored[name], value), name


def test_shared_embeddings_are_stored_once(model):
    stored = to_integers(model.state_dict())
    names = [f"{half}.embed_tokens.weight.int8" for half in ("encoder", "decoder")]
    assert stored[names[0]].data_ptr() == stored[names[1]].data_ptr()


@torch.no_grad()
def test_int8_translation_equals_the_original(model):
    """Logits of the first step, with small weights."""
    read_back = make_model("gnmt_v2", DICTIONARY, seed=2, hidden_size=16)
    read_back.load_state_dict(to_integers(model.state_dict()))
    logits = []
    for network in (model, read_back):
        network.prepare_for_inference_(SimpleNamespace(generation=SimpleNamespace()))
        encoder, decoder = inference_model_for(network, "int8")
        memory = decoder.precompute(encoder(torch.tensor([[4, 5, 6, 2]])))
        logits.append(decoder.step(torch.tensor([2]), memory, decoder.initial_state(memory))[0])
    torch.testing.assert_close(*logits)


@torch.no_grad()
def test_int8_of_large_weights(model):
    """Logits of two steps, which would differ if values were rounded twice."""
    for parameter in model.parameters():
        torch.nn.init.uniform_(parameter, -0.9, 0.9)
    read_back = make_model("gnmt_v2", DICTIONARY, seed=2, hidden_size=16)
    read_back.load_state_dict(to_integers(model.state_dict()))
    features = torch.randn(3, 16)
    outputs, projected, logits = [], [], []
    for network in (model, read_back):
        network.prepare_for_inference_(SimpleNamespace(generation=SimpleNamespace()))
        encoder, decoder = inference_model_for(network, "int8")
        encoded = encoder(torch.tensor([[4, 5, 6, 2]]))
        memory = decoder.precompute(encoded)
        _, _, state = decoder.step(torch.tensor([2]), memory, decoder.initial_state(memory))
        outputs.append(encoded.outputs)
        projected.append(decoder.output_projection(features))
        logits.append(decoder.step(torch.tensor([7]), memory, state)[0])
    assert torch.equal(*outputs) and torch.equal(*projected)
    torch.testing.assert_close(*logits)  # logits are between about -5 and 5
