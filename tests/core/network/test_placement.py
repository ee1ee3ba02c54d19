"""Tests layers placed on several devices: schedule by hand, devices of tensors, and values against the same network on
one device.
"""

import copy
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from conftest import make_dictionary, make_model
from fairseq_gnmt.criterions.label_smoothed_cross_entropy import GNMTLabelSmoothedCrossEntropy
from gnmt.errors import UserError
from gnmt.network.clipping import ClipSchedule
from gnmt.network.config import NetworkConfig
from gnmt.network.gnmt import GNMTNetwork
from gnmt.network.placement import Placement, parse_devices
from gnmt.network.wavefront import Chunk, join_chunks, run_wavefront, schedule, split_chunks
from gnmt.search.beam_rules import BeamSearchRules
from gnmt.search.ensemble import Ensemble
from gnmt.search.options import SearchOptions
from gnmt.search.beam_search import translate_batch
from gnmt.search.token_selection import SpecialTokens

CPU, META = torch.device("cpu"), torch.device("meta")
PAD, EOS = 1, 2
SOURCE = torch.tensor([[5, 6, 7, 9, 8, EOS], [PAD, PAD, 8, 4, 4, EOS], [9, EOS, PAD, PAD, PAD, PAD]])
PREVIOUS = torch.tensor([[EOS, 9, 4, 5, 7], [EOS, 4, 5, PAD, PAD], [EOS, 8, 8, 6, PAD]])
CURRENT = "current query"
NETWORKS = {
    CURRENT: {},
    "previous query": dict(attention_query="previous"),
    "tied": dict(tie_output=True),
    "separate embeddings": dict(share_embeddings=False),
    "clipped": dict(clip=ClipSchedule(0.2, 0.2, 0, 0)),
    "recomputed": dict(checkpoint_activations=True),
    "8 + 2 layers": dict(encoder_layers=8, decoder_layers=2),
}


def network(**options) -> GNMTNetwork:
    torch.manual_seed(1)
    return GNMTNetwork(NetworkConfig(12, 12, hidden_size=8, init_range=0.5, **options)).double()


def outputs_and_gradients(model: nn.Module, target: torch.Tensor = PREVIOUS):
    """Returns logits, attention weights and gradients of one training update with dropout."""
    torch.manual_seed(2)
    logits, weights = model.train()(SOURCE, target)
    torch.manual_seed(3)
    (logits * torch.randn_like(logits)).sum().backward()
    return [logits, weights, *(parameter.grad for parameter in model.parameters())]


# -- schedule


def test_schedule():
    """Two layers and three chunks: at each step the upper layer runs first."""
    assert schedule(2, 3) == [(0, 0), (1, 0), (0, 1), (1, 1), (0, 2), (1, 2)]
    assert schedule(3, 2) == [(0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (2, 1)]
    assert schedule(0, 2) == [] and schedule(1, 1) == [(0, 0)]


def test_a_layer_has_its_input_and_its_state_before_it_runs():
    for layers in range(1, 5):
        for chunks in range(1, 5):
            order = schedule(layers, chunks)
            assert sorted(order) == [(layer, chunk) for layer in range(layers) for chunk in range(chunks)]
            for layer, chunk in order:
                before = order[: order.index((layer, chunk))]
                assert layer == 0 or (layer - 1, chunk) in before
                assert chunk == 0 or (layer, chunk - 1) in before


def test_split_and_join():
    features = torch.arange(14).view(2, 7, 1)
    parts = split_chunks(features, 3)
    assert [part.positions for part in parts] == [slice(0, 3), slice(3, 5), slice(5, 7)]
    assert all(torch.equal(part.features, features[:, part.positions]) for part in parts)
    assert torch.equal(join_chunks([part.features for part in parts]), features)
    assert len(split_chunks(features, 20)) == 7 and split_chunks(features, 1)[0].features is features


def test_states_are_carried_from_chunk_to_chunk():
    """The layer computes cumulative sums."""

    def cumulate(chunk: Chunk, before: torch.Tensor):
        sums = before[:, None] + chunk.features.cumsum(dim=1)
        return chunk._replace(features=sums), sums[:, -1]

    numbers = torch.tensor([[1, 2, 3, 4, 5]])
    zero = torch.tensor([0])
    chunks, states = run_wavefront([cumulate, cumulate], split_chunks(numbers, 2), [zero, zero])
    assert join_chunks([chunk.features for chunk in chunks]).tolist() == [[1, 4, 10, 20, 35]]
    assert [state.tolist() for state in states] == [[15], [35]]


# -- values


# All networks with one chunk and with several chunks; one network with each number of chunks.
@pytest.mark.parametrize(
    "name, chunks", [*((name, chunks) for name in NETWORKS for chunks in (1, 4)), *((CURRENT, 2), (CURRENT, 9))]
)
def test_a_placed_network_equals_the_ordinary_one(name, chunks):
    """Dropout included, whose masks are drawn for each layer and the whole sequence.

    With one chunk results are bit-identical.
    """
    ordinary, placed = network(**NETWORKS[name]), network(**NETWORKS[name])
    placed.place(Placement((CPU, CPU, CPU), chunks))
    for actual, expected in zip(outputs_and_gradients(placed), outputs_and_gradients(ordinary)):
        if chunks == 1:
            assert torch.equal(actual, expected)
        torch.testing.assert_close(actual, expected, rtol=1e-11, atol=1e-13)


def test_several_rows_of_a_sentence():
    ordinary, placed = network(), network()
    placed.place(Placement((CPU, CPU), 2))
    rows = PREVIOUS.repeat_interleave(2, dim=0)
    for actual, expected in zip(outputs_and_gradients(placed, rows), outputs_and_gradients(ordinary, rows)):
        torch.testing.assert_close(actual, expected, rtol=1e-11, atol=1e-13)


def test_float32_deviates_by_rounding_only():
    ordinary, placed = network().float(), network().float()
    placed.place(Placement((CPU, CPU, CPU, CPU), 3))
    for actual, expected in zip(outputs_and_gradients(placed), outputs_and_gradients(ordinary)):
        assert (actual - expected).norm() <= 1e-4 * expected.norm()


def test_a_search_uses_a_placed_network_as_it_is():
    """Validation during training translates with the placed network."""
    rules = BeamSearchRules(SpecialTokens(PAD, EOS, 3, decoder_start=EOS), SearchOptions(beam=3, max_len_b=6))
    translations = []
    for place in (False, True):
        model = network().eval()
        if place:
            model.place(Placement((CPU, CPU), 4))
        with torch.no_grad():
            translations.append(
                [nbest[0].tokens.tolist() for nbest in translate_batch(Ensemble([model]), rules, SOURCE)]
            )
    assert translations[0] == translations[1]


# -- devices


@pytest.fixture
def moves_without_values(monkeypatch):
    """Replaces Module.to for meta tensors, which torch cannot move in place; shared parameters stay shared."""
    moved = {}

    def to(self: nn.Module, device: torch.device) -> nn.Module:
        for module in self.modules():
            for name, parameter in module._parameters.items():
                if parameter is not None and parameter.device != device:
                    if (parameter, device) not in moved:
                        moved[parameter, device] = nn.Parameter(parameter.detach().to(device))
                    module._parameters[name] = moved[parameter, device]
            if isinstance(module, nn.LSTM):
                module._flat_weights = [module._parameters[name] for name in module._flat_weights_names]
        return self

    monkeypatch.setattr(nn.Module, "to", to)


@pytest.mark.parametrize(
    "name, devices",
    [
        *((name, (META, CPU, META, CPU)) for name in NETWORKS),
        *((CURRENT, devices) for devices in ((CPU, META), (META, CPU), (CPU, META, CPU))),
    ],
)
def test_every_tensor_is_moved_to_where_it_is_used(moves_without_values, name, devices):
    """Uses meta tensors on two kinds of devices: operators that mix devices fail in the forward or backward pass."""
    with FakeTensorMode():
        model = GNMTNetwork(NetworkConfig(12, 12, hidden_size=8, **NETWORKS[name])).train()
        model.place(Placement(devices, 2))
        source, previous = (torch.randint(4, 12, (3, 5), device=devices[0]) for _ in range(2))
        logits, weights = model(source, previous)
        assert logits.device == weights.device == devices[0]
        logits.sum().backward()
        assert all(parameter.grad.device == parameter.device for parameter in model.parameters())


@pytest.mark.parametrize("name, last", [("current query", 2), ("tied", 0), ("8 + 2 layers", 2)])
def test_the_loss_is_where_the_batch_is(moves_without_values, name, last):
    """The output projection is on the last device, or on the device of the embeddings whose weights it shares."""
    criterion = GNMTLabelSmoothedCrossEntropy(SimpleNamespace(target_dictionary=make_dictionary(12)), 0.1, False)
    for devices in ((CPU, CPU, META), (META, META, CPU), (META, CPU, META)):
        with FakeTensorMode():
            model = GNMTNetwork(NetworkConfig(12, 12, hidden_size=8, **NETWORKS[name])).train()
            model.place(Placement(devices, 2))
            assert model.decoder.output_projection.weight.device == devices[last]
            source, previous, target = (torch.randint(4, 12, (3, 5), device=devices[0]) for _ in range(3))
            features, _ = model.decoder(previous, model.encoder(source), features_only=True)
            loss, _, logged = criterion.loss_from_features(model, features, {"target": target, "ntokens": 15})
            assert {loss.device, logged["loss"].device, logged["nll_loss"].device} == {devices[0]}


def test_blocks_of_layers():
    four = Placement(tuple(torch.device("cuda", number) for number in range(4)))
    assert [four.device_of(layer, 8).index for layer in range(8)] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert [four.device_of(layer, 6).index for layer in range(6)] == [0, 0, 1, 2, 2, 3]
    assert [four.device_of(layer, 2).index for layer in range(2)] == [0, 2]


def test_a_placed_network_stays_where_it_is():
    """fairseq's move to its own device has no effect; conversions of precision have."""
    model = make_model("gnmt_v2_tiny", make_dictionary(12))
    model.place(Placement((CPU, META)))
    model.to("cpu").half()
    assert model.decoder.stack.upper_lstms[-1].weight_hh_l0.device == META
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float16}
    assert model.encoder.embed_tokens.weight is model.decoder.embed_tokens.weight


def test_names_and_order_of_parameters_are_kept():
    ordinary = network(tie_output=True)
    placed = copy.deepcopy(ordinary)
    placed.place(Placement((CPU, CPU), 3))
    assert [name for name, _ in placed.named_parameters()] == [name for name, _ in ordinary.named_parameters()]
    placed.load_state_dict(ordinary.state_dict())


def test_more_devices_than_layers_are_refused():
    with pytest.raises(UserError, match="5 devices, but the network has 4 layers"):
        network().place(Placement((CPU,) * 5))


def test_devices_of_an_option(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert parse_devices("cpu, cpu") == (CPU, CPU)
    assert [device.index for device in parse_devices("cuda:0,cuda:2")] == [0, 2]
    assert [device.index for device in parse_devices("cuda:0,cuda:2", process=1)] == [1, 3]


@pytest.mark.parametrize(
    "text, process, words",
    [
        ("cuda:0,cuda:9", 0, "has cuda:9, but this machine has 2 GPUs, numbered from 0: name devices that exist"),
        ("cuda:0,cuda:1", 1, r"has cuda:1 \(process 1 of this machine adds 1\), but this machine has 2 GPUs"),
        ("cpu,cuda:0", 0, "mixes kinds of devices"),
        ("0,1", 0, "has '0', but must list GPUs by number, as cuda:0,cuda:1"),
        ("cuda", 0, "has 'cuda', but must list GPUs by number"),
        ("cpu,,cpu", 0, "has '', but must list"),
        ("mps:0", 0, "has 'mps:0', but must list"),
        ("cuda:-1", 0, "has 'cuda:-1', but must list"),
    ],
)
def test_devices_that_are_refused(monkeypatch, text, process, words):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(UserError, match=words):
        parse_devices(text, process)
