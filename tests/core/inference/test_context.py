"""Context products of the decoder's upper layers, against W c with the context c of the network."""

import pytest
import torch

from gnmt.inference.context import BatchInvariantContext, FastContext
from gnmt.inference.gates import stack_weights
from gnmt.inference.model import inference_model_for
from gnmt.inference.packed_linear import PlainLinear
from gnmt.network.config import NetworkConfig
from gnmt.network.encoder import EncoderOutput
from gnmt.network.gnmt import GNMTNetwork

HIDDEN, LAYERS, SOURCE = 8, 3, 6
PADDING = torch.tensor([[0] * SOURCE, [0, 0, 0, 1, 1, 1]]).bool()


def network() -> GNMTNetwork:
    torch.manual_seed(5)
    made = GNMTNetwork(NetworkConfig(20, 20, hidden_size=HIDDEN, decoder_layers=LAYERS))
    for parameter in made.parameters():
        torch.nn.init.uniform_(parameter, -0.6, 0.6)
    return made.prepare_for_inference()


def attended():
    """Returns encoder outputs of two sentences, and attention weights of three hypotheses of each."""
    outputs = torch.randn(2, SOURCE, HIDDEN)
    weights = torch.rand(2, 3, SOURCE).masked_fill(PADDING[:, None], 0)
    return EncoderOutput(outputs, PADDING), weights / weights.sum(dim=2, keepdim=True)


def added(context, encoded, weights):
    """Returns the sums of ones and the context products of each upper layer, (layers, B, Q, 4H)."""
    contexts = context.of_step(weights, context.values(encoded))
    pre_activations = torch.ones(LAYERS - 1, 2, 3, 4 * HIDDEN)
    for layer in range(LAYERS - 1):
        context.add(pre_activations[layer], contexts, layer)
    return pre_activations


@torch.no_grad()
@pytest.mark.parametrize("make", [FastContext, BatchInvariantContext])
@pytest.mark.parametrize("max_precomputed", [SOURCE, SOURCE - 1])
def test_equals_the_weights_times_the_context(make, max_precomputed):
    """At most `max_precomputed` positions are multiplied once per sentence, longer sources once per step."""
    stack = network().decoder.stack
    context = make(stack, PlainLinear)
    context.max_precomputed = max_precomputed
    encoded, weights = attended()
    _, *upper = (layer.context for layer in stack_weights(stack))
    expected = torch.stack([1 + torch.bmm(weights, encoded.outputs) @ weight.T for weight in upper])
    # Rounding: weights have errors of 1/8192, values of 1/2048 of the largest of their column.
    error = 1e-5 if make is FastContext else 2e-2
    torch.testing.assert_close(added(context, encoded, weights), expected, rtol=0, atol=error)


@torch.no_grad()
def test_long_sources_keep_encoder_outputs():
    stack = network().decoder.stack
    encoded, _ = attended()
    context = BatchInvariantContext(stack, PlainLinear)
    assert context.values(encoded).shape == (2, SOURCE, (LAYERS - 1) * 4 * HIDDEN)
    context.max_precomputed = SOURCE - 1
    values = context.values(encoded)
    assert values.shape == (2, SOURCE, HIDDEN)
    assert not values[PADDING].any()


@torch.no_grad()
@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_steps_of_short_and_long_sources_are_those_of_each_alone(precision, monkeypatch):
    monkeypatch.setattr(BatchInvariantContext, "max_precomputed", 4)
    encoder, decoder = inference_model_for(network(), precision)
    sources = [torch.randint(4, 20, (length,)) for length in (3, 9, 4, 5, 6, 2)]

    def two_steps(batch):
        src_tokens = torch.nn.utils.rnn.pad_sequence(batch, batch_first=True, padding_value=1)
        memory = decoder.precompute(encoder(src_tokens))
        _, _, state = decoder.step(torch.full((len(batch),), 2), memory, decoder.initial_state(memory))
        rows = torch.arange(len(batch)).repeat_interleave(2)
        logits, _, _ = decoder.step(4 + torch.arange(len(rows)) % 2, memory, state.reorder(rows))
        return {group.values.size(2) for group in memory.groups}, logits.view(len(batch), 2, -1)

    widths, logits = two_steps(sources)
    assert widths == {HIDDEN, (LAYERS - 1) * 4 * HIDDEN}  # both forms occur
    for source, expected in zip(sources, logits):
        assert torch.equal(two_steps([source])[1][0], expected)
