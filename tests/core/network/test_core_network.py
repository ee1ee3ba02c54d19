"""Tests the network and the search without fairseq.

Expected values come from the same network inside fairseq's classes.
"""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from conftest import make_dictionary, make_model
from gnmt.errors import UserError
from gnmt.inference.model import inference_model_for
from gnmt.network.attention import SourceMemory
from gnmt.network.config import NetworkConfig
from gnmt.network.gnmt import GNMTNetwork
from gnmt.search.beam_rules import BeamSearchRules
from gnmt.search.ensemble import Ensemble
from gnmt.search.options import SearchOptions
from gnmt.search.beam_search import translate_batch
from gnmt.search.token_selection import SpecialTokens

ROOT = Path(__file__).parents[3]
BOS, PAD, EOS, UNK = range(4)
SPECIAL = SpecialTokens(PAD, EOS, UNK, decoder_start=EOS)
RULES = BeamSearchRules(SPECIAL, SearchOptions(beam=3, max_len_b=6))
SOURCE = torch.tensor([[5, 6, 7, EOS], [8, EOS, PAD, PAD]])
PREVIOUS = torch.tensor([[EOS, 9, 4], [EOS, 4, 5]])

WITHOUT_FAIRSEQ = """
import sys
sys.modules["fairseq"] = sys.modules["fairseq_gnmt"] = None
import torch
from gnmt.network.config import NetworkConfig
from gnmt.network.gnmt import GNMTNetwork
from gnmt.search.beam_rules import BeamSearchRules
from gnmt.search.ensemble import Ensemble
from gnmt.search.options import SearchOptions
from gnmt.search.beam_search import translate_batch
from gnmt.search.token_selection import SpecialTokens

torch.manual_seed(1)
network = GNMTNetwork(NetworkConfig(12, 12, hidden_size=8)).prepare_for_inference()
rules = BeamSearchRules(SpecialTokens(1, 2, 3, decoder_start=2), SearchOptions(beam=3, max_len_b=6))
found = translate_batch(Ensemble([network]), rules, torch.tensor([[5, 6, 7, 2], [8, 2, 1, 1]]))
print([(nbest[0].tokens.tolist(), float(nbest[0].score)) for nbest in found])
"""


def network(**options) -> GNMTNetwork:
    torch.manual_seed(1)
    return GNMTNetwork(NetworkConfig(12, 12, hidden_size=8, **options))


@pytest.mark.end_to_end
def test_a_network_translates_without_fairseq():
    """The expected translations are found by the same network inside fairseq's classes."""
    printed = subprocess.run(
        [sys.executable, "-c", WITHOUT_FAIRSEQ], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    model = make_model("gnmt_v2", make_dictionary(12), seed=1, hidden_size=8)
    model.make_generation_fast_()
    expected = translate_batch(Ensemble([model]), RULES, SOURCE)
    assert printed == f"{[(nbest[0].tokens.tolist(), float(nbest[0].score)) for nbest in expected]}\n"


@pytest.mark.parametrize("preset", ["gnmt_v2", "gnmt_v2_8_layers", "gnmt_v2_small", "gnmt_v2_tiny", "gnmt"])
def test_a_preset_is_the_same_network_with_and_without_fairseq(preset):
    """Names, order and initial values of parameters are equal, because optimizer states and seeds depend on the order."""
    model = make_model(preset, make_dictionary(12), seed=1, hidden_size=8)
    config = model.config_class(hidden_size=8)
    plain = network(
        encoder_layers=config.encoder_layers,
        decoder_layers=config.decoder_layers,
        attention_query=str(config.attention_query),
        init_range=config.init_range,
        embedding_init_range=config.embedding_init_range,
    ).eval()
    plain_parameters, fairseq_parameters = list(plain.named_parameters()), list(model.named_parameters())
    assert [name for name, _ in plain_parameters] == [name for name, _ in fairseq_parameters]
    for (name, weight), (_, other) in zip(plain_parameters, fairseq_parameters):
        assert torch.equal(weight, other), name
    logits, attention = plain(SOURCE, PREVIOUS)
    expected, extra = model(SOURCE, None, PREVIOUS)
    assert torch.equal(logits, expected) and torch.equal(attention, extra["attn"][0])


def test_embeddings_and_output_are_shared_as_configured():
    shared, separate, tied = network(), network(share_embeddings=False), network(tie_output=True)
    assert shared.encoder.embed_tokens is shared.decoder.embed_tokens
    assert separate.encoder.embed_tokens is not separate.decoder.embed_tokens
    assert tied.decoder.output_projection.weight is tied.decoder.embed_tokens.weight
    assert shared.decoder.output_projection.weight is not shared.decoder.embed_tokens.weight


@pytest.mark.parametrize(
    "options, error_message",
    [
        ({"hidden_size": 0}, "--hidden-size is 0, but must be at least 1"),
        ({"decoder_layers": 1}, "--decoder-layers is 1, but must be at least 2"),
        ({"dropout": 1.0}, "--dropout is 1.0, but must be below 1"),
        ({"init_range": 0.0}, "--init-range is 0.0, but must be above 0"),
        ({"attention_query": "next"}, "--attention-query is next"),
        ({"target_vocabulary_size": 13}, "12 tokens and the target 13"),
    ],
)
def test_a_config_that_makes_no_network_is_refused(options, error_message):
    with pytest.raises(UserError, match=error_message):
        NetworkConfig(**{"source_vocabulary_size": 12, "target_vocabulary_size": 12, **options})


def test_a_network_prepared_for_inference_has_no_gradient_and_no_dropout():
    prepared = network(dropout=0.5).prepare_for_inference()
    assert not prepared.training and not any(parameter.requires_grad for parameter in prepared.parameters())
    assert torch.equal(prepared(SOURCE, PREVIOUS)[0], prepared(SOURCE, PREVIOUS)[0])


class DotProductAttention(torch.nn.Module):
    """Attention that does not support fast decoding; its weights are the softmax of query . key."""

    def precompute(self, encoder_outputs, padding_mask):
        return SourceMemory(encoder_outputs, encoder_outputs, padding_mask)

    def forward(self, query, memory):
        scores = torch.bmm(query, memory.keys.transpose(1, 2)).masked_fill(memory.padding_mask[:, None], -1e9)
        weights = scores.softmax(dim=-1)
        return torch.bmm(weights, memory.values), weights


def test_a_network_that_declines_fast_decoding_still_translates():
    """Its own step is used: log-probabilities of the translation equal those from one pass."""
    other = network()
    other.decoder.stack.attention = DotProductAttention()
    other.decoder.supports_fast_decoding = False
    other.prepare_for_inference()
    assert inference_model_for(other) == (other.encoder, other.decoder)
    ((best, *_),) = translate_batch(Ensemble([other]), RULES, SOURCE[:1])
    tokens = best.tokens[None]
    previous = torch.cat([torch.tensor([[EOS]]), tokens[:, :-1]], dim=1)
    log_probs = other(SOURCE[:1], previous)[0].log_softmax(dim=2).gather(2, tokens[:, :, None])
    torch.testing.assert_close(best.log_probs, log_probs[0, :, 0], rtol=1e-5, atol=1e-6)


def test_a_network_that_declines_fast_decoding_cannot_be_quantised():
    other = network()
    other.decoder.supports_fast_decoding = False
    with pytest.raises(UserError, match="needs the layers of GNMT, which Decoder does not have"):
        inference_model_for(other.prepare_for_inference(), "int8")
