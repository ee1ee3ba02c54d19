"""Tests attentions other than the default in each precision. Expected values come from the network's own step."""

import pytest
import torch
from torch import nn

from gnmt.errors import UserError
from gnmt.inference import attention as inference_attention
from gnmt.inference.attention import AttentionImplementations
from gnmt.inference.fast_decoder import FastDecoder
from gnmt.inference.model import inference_model_for
from gnmt.network.attention import NormalizedBahdanauAttention, SourceMemory
from gnmt.network.config import NetworkConfig
from gnmt.network.gnmt import GNMTNetwork
from gnmt.quantization.fixed_point import order_free_sum

SOURCE = torch.tensor([[4, 5, 6, 7, 2], [8, 9, 2, 1, 1]])
ERRORS = {"fp32": 1e-5, "bf16": 0.05, "int8": 0.05}  # absolute error of weights between 0 and 1


class DotProductAttention(nn.Module):
    """Attention whose weights are the softmax of 4 (W query) . key."""

    def __init__(self, hidden_size: int):
        super().__init__()
        self.projection = nn.Linear(hidden_size, hidden_size)

    def precompute(self, encoder_outputs, padding_mask):
        return SourceMemory(encoder_outputs, encoder_outputs, padding_mask)

    def forward(self, query, memory):
        scores = 4 * torch.bmm(self.projection(query), memory.keys.transpose(1, 2))
        weights = scores.masked_fill(memory.padding_mask[:, None], -1e9).softmax(dim=-1)
        return torch.bmm(weights, memory.values), weights


class FastDotProductAttention:
    """Inference form of DotProductAttention, for one target position at a time."""

    def __init__(self, attention, make_linear):
        self.project_query = make_linear(attention.projection.weight, attention.projection.bias)

    def project_keys(self, outputs):
        return outputs

    def weights(self, queries, keys, padding_mask):
        scores = 4 * torch.bmm(queries, keys.transpose(1, 2))
        return scores.masked_fill(padding_mask[:, None], -1e9).softmax(dim=-1)


class BatchInvariantDotProductAttention(FastDotProductAttention):
    """DotProductAttention with exact sums."""

    def weights(self, queries, keys, padding_mask):
        scores = (4 * queries.double()[:, :, None] * keys.double()[:, None]).sum(dim=3).float()
        scores = scores.masked_fill(padding_mask[:, None], -1e9)
        weights = (scores - scores.amax(dim=-1, keepdim=True)).exp()
        return weights / order_free_sum(weights)


class UniformAttention(NormalizedBahdanauAttention):
    """Subclass of the default attention with equal weights for all source tokens."""

    def weights(self, query, memory):
        tokens = (~memory.padding_mask).float()
        return (tokens / tokens.sum(dim=1, keepdim=True))[:, None].expand(-1, query.size(1), -1)


def network(attention: nn.Module) -> GNMTNetwork:
    torch.manual_seed(1)
    made = GNMTNetwork(NetworkConfig(12, 12, hidden_size=8))
    made.decoder.stack.attention = attention
    for parameter in made.parameters():
        nn.init.uniform_(parameter, -0.6, 0.6)
    return made.prepare_for_inference()


@torch.no_grad()
def two_steps(encoder, decoder):
    """Returns logits and attention weights of two decoder steps."""
    memory = decoder.precompute(encoder(SOURCE))
    first, first_weights, state = decoder.step(torch.tensor([2, 2]), memory, decoder.initial_state(memory))
    second, second_weights, _ = decoder.step(torch.tensor([7, 8]), memory, state)
    return torch.stack([first, second]), torch.stack([first_weights, second_weights])


@pytest.mark.parametrize("precision", ERRORS)
def test_a_registered_attention_is_used_in_every_precision(precision, monkeypatch):
    implementations = AttentionImplementations(FastDotProductAttention, BatchInvariantDotProductAttention)
    monkeypatch.setitem(inference_attention.IMPLEMENTATIONS, DotProductAttention, implementations)
    model = network(DotProductAttention(8))
    expected_logits, expected_weights = two_steps(model.encoder, model.decoder)
    prepared = inference_model_for(model, precision)
    assert isinstance(prepared.decoder, FastDecoder)
    logits, weights = two_steps(*prepared)
    torch.testing.assert_close(weights, expected_weights, rtol=0, atol=ERRORS[precision])
    torch.testing.assert_close(logits, expected_logits, rtol=0, atol=10 * ERRORS[precision])
    by_bahdanau = two_steps(*inference_model_for(network(NormalizedBahdanauAttention(8)), precision))[1]
    # larger than the allowed error, so the forms can be distinguished
    assert (weights - by_bahdanau).abs().max() > 2 * ERRORS[precision]


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_an_attention_without_batch_invariant_form_is_refused(precision, monkeypatch):
    monkeypatch.setitem(
        inference_attention.IMPLEMENTATIONS,
        DotProductAttention,
        AttentionImplementations(FastDotProductAttention, None),
    )
    model = network(DotProductAttention(8))
    assert isinstance(inference_model_for(model).decoder, FastDecoder)
    expected = f"precision {precision} needs a batch-invariant implementation of DotProductAttention.*: use fp32"
    with pytest.raises(UserError, match=expected):
        inference_model_for(model, precision)


@pytest.mark.parametrize("make", [DotProductAttention, UniformAttention])
def test_an_attention_that_is_not_registered_decodes_with_the_network_s_step(make):
    """This includes a subclass of a registered class."""
    model = network(make(8))
    assert inference_model_for(model) == (model.encoder, model.decoder)
    for precision in ("bf16", "int8"):
        expected = (
            f"precision {precision} needs an attention that supports fast decoding, unlike {make.__name__}: use fp32"
        )
        with pytest.raises(UserError, match=expected):
            inference_model_for(model, precision)


def test_uniform_weights_are_uniform():
    model = network(UniformAttention(8))
    _, weights = two_steps(*inference_model_for(model))
    expected = torch.tensor([[0.2] * 5, [1 / 3] * 3 + [0] * 2]).expand(2, 2, 5)
    torch.testing.assert_close(weights, expected)
