"""Tests training with an output layer divided over processes.

Expected gradients come from one process, losses from hand calculation.
"""

import math

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.utils import clip_grads_with_norm_

from gnmt.losses.sharded_cross_entropy import sharded_label_smoothed_loss
from gnmt.network.clipping import ClipSchedule
from gnmt.network.config import NetworkConfig
from gnmt.network.gnmt import GNMTNetwork
from gnmt.training.batch_shares import gather_batch, rows_of_process, sum_gradients
from gnmt.training.sharded_layers import (
    gather_layers,
    gather_weights,
    shard_vocabulary,
    shard_weights,
    split_parameters,
    with_layers,
)
from gnmt.training.sharded_state import gather_state, shard_state, whole_gradient_norm
from gnmt.training.vocabulary_shards import VocabularyShard, gather_shards, rows_of_shard, vocabulary_shard
from process_groups import run_processes
from reference.plain_loss import plain_label_smoothed_loss

VOCABULARY, PAD = 23, 1
SMOOTHING, CLIP_NORM, UPDATES = 0.1, 0.5, 3


def test_shards_by_hand():
    assert vocabulary_shard(23, 1, 3) == VocabularyShard(1, (0, 7, 15, 23))
    shard = vocabulary_shard(23, 1, 3)
    assert (shard.first, shard.size, shard.vocabulary_size, shard.shards) == (7, 8, 23, 3)
    assert rows_of_shard(torch.arange(23), shard).tolist() == list(range(7, 15))


def test_rows_of_processes_by_hand():
    """Five rows for three processes: two each, so the last process repeats row 0."""
    assert [rows_of_process(5, rank, 3).tolist() for rank in range(3)] == [[0, 3], [1, 4], [2, 0]]
    assert [rows_of_process(1, rank, 2).tolist() for rank in range(2)] == [[0], [0]]


def loss_of_three_symbols():
    """Returns the loss of one token with logits 0 | log 3, log 4, whose target is symbol 1."""
    shard = vocabulary_shard(3, dist.get_rank(), 2)
    bias = rows_of_shard(torch.tensor([0, math.log(3), math.log(4)]), shard).requires_grad_()
    features, weight = torch.zeros(1, 1), torch.zeros(shard.size, 1)
    loss, nll = sharded_label_smoothed_loss(features, weight, bias, torch.tensor([1]), 0.3, None, shard)
    loss.backward()
    return loss.detach(), nll, bias.grad


def test_loss_by_hand():
    """p = 1/8, 3/8, 4/8; the gradient is p - 0.7 onehot - 0.1."""
    results = run_processes(2, loss_of_three_symbols)
    nll = math.log(8 / 3)
    expected = 0.7 * nll + 0.1 * (math.log(8) + nll + math.log(2))
    for loss, one_nll, _ in results:
        assert loss.item() == pytest.approx(expected)
        assert one_nll.item() == pytest.approx(nll)
    gradients = torch.cat([gradient for *_, gradient in results]).tolist()
    assert gradients == pytest.approx([1 / 8 - 0.1, 3 / 8 - 0.8, 4 / 8 - 0.1], abs=1e-6)


def network(query: str, tied: bool, shared: bool, clipped: bool, dtype: torch.dtype) -> GNMTNetwork:
    """Returns a network with the same weights in each process."""
    torch.manual_seed(1)
    config = NetworkConfig(
        VOCABULARY,
        VOCABULARY,
        PAD,
        hidden_size=6,
        encoder_layers=3,
        decoder_layers=3,
        dropout=0.0,
        share_embeddings=shared,
        tie_output=tied,
        attention_query=query,
        clip=ClipSchedule(0.4, 0.4, 0, 0) if clipped else None,
        init_range=0.7,
    )
    return GNMTNetwork(config).to(dtype).train()


def batches(update: int):
    """Returns two batches of one update, with 5 and 2 sentences, padded on either side of the source."""
    choose = torch.Generator().manual_seed(update)
    for size, length in ((5, 4), (2, 6)):
        source, target = torch.randint(3, VOCABULARY, (2, size, length), generator=choose)
        source[0, : length // 2] = PAD
        target[-1, length // 2 :] = PAD
        previous = torch.cat([torch.full((size, 1), 2), target[:, :-1]], dim=1)
        yield source, previous, target


def train_whole(*options):
    """Returns the clipped gradients of each update, their norms before clipping, the losses, and the final weights."""
    model = network(*options)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    gradients, norms, losses = [], [], []
    for update in range(UPDATES):
        optimizer.zero_grad()
        for source, previous, target in batches(update):
            logits, _ = model(source, previous)
            real = target.flatten() != PAD
            loss, _ = plain_label_smoothed_loss(logits.flatten(0, 1)[real], target.flatten()[real], SMOOTHING)
            loss.backward()
            losses.append(loss.item())
        norms.append(float(nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM)))
        gradients.append({name: weight.grad.clone() for name, weight in model.named_parameters()})
        optimizer.step()
    return gradients, norms, losses, dict(model.state_dict()), optimizer.state_dict()["state"]


def train_sharded(query: str, tied: bool, *options):
    model = network(query, tied, *options)
    rank, processes = dist.get_rank(), dist.get_world_size()
    shard = vocabulary_shard(VOCABULARY, rank, processes)
    shard_vocabulary(model, shard)
    parameters = list(model.parameters())
    replicated, sharded = split_parameters(model)
    optimizer = torch.optim.Adam(parameters, lr=0.05)
    gradients, norms, losses = [], [], []
    for update in range(UPDATES):
        optimizer.zero_grad()
        for source, previous, target in batches(update):
            rows = rows_of_process(len(source), rank, processes)
            local_states, _ = model.decoder(previous[rows], model.encoder(source[rows]), features_only=True)
            features = gather_batch(local_states, len(source))
            real = target.flatten() != PAD
            projection = model.decoder.output_projection
            loss, _ = sharded_label_smoothed_loss(
                features.flatten(0, 1)[real],
                projection.weight,
                projection.bias,
                target.flatten()[real],
                SMOOTHING,
                model.decoder.logit_limit,
                shard,
            )
            loss.backward()
            losses.append(loss.item())
        sum_gradients(replicated)
        norm = whole_gradient_norm(replicated, sharded)
        clip_grads_with_norm_(parameters, CLIP_NORM, norm)
        norms.append(float(norm))
        sharded_ones = {id(weight) for weight in sharded}
        gradients.append(
            {
                name: gather_shards(weight.grad, shard) if id(weight) in sharded_ones else weight.grad.clone()
                for name, weight in model.named_parameters()
            }
        )
        optimizer.step()

    weights, local_weights = dict(model.state_dict()), dict(model.state_dict())
    gather_weights(model, weights)
    embedding, output = weights["decoder.embed_tokens.weight"], weights["decoder.output_projection.weight"]
    assert (embedding.data_ptr() == output.data_ptr()) == tied  # a tied matrix, stored once in a checkpoint
    back = dict(weights)
    shard_weights(model, back)
    assert all(torch.equal(back[name], local_weights[name]) for name in local_weights)
    indices = [index for index, weight in enumerate(parameters) if id(weight) in sharded_ones]
    state = gather_state(optimizer.state_dict(), indices, shard)
    optimizer.load_state_dict(shard_state(state, indices, shard))

    source, previous, _ = next(batches(0))
    with torch.no_grad(), with_layers(model, gather_layers(model)):
        logits, _ = model(source, previous)
    return gradients, norms, losses, weights, state["state"], logits


CASES = [
    (2, "current", False, True, False),
    (2, "previous", True, True, False),
    (2, "current", True, False, True),
    (3, "previous", False, True, True),
    (3, "current", True, True, False),
    (3, "current", False, False, False),
]


@pytest.mark.parametrize("dtype, allowed", [(torch.float64, 1e-9), (torch.float32, 2e-5)], ids=["float64", "float32"])
@pytest.mark.parametrize("processes, query, tied, shared, clipped", CASES)
def test_gradients_equal_one_process(processes, query, tied, shared, clipped, dtype, allowed, record_property):
    options = (query, tied, shared, clipped, dtype)
    gradients, norms, losses, weights, moments = train_whole(*options)
    assert min(norms) > CLIP_NORM  # the gradients of every update are clipped
    results = run_processes(processes, train_sharded, *options)
    largest = 0.0
    for rank, (actual_gradients, actual_norms, actual_losses, actual_weights, actual_moments, _) in enumerate(results):
        assert actual_norms == pytest.approx(norms, rel=allowed)
        assert actual_losses == pytest.approx(losses, rel=allowed)
        for expected, actual in zip(gradients, actual_gradients):
            assert expected.keys() == actual.keys()
            for name, gradient in expected.items():
                largest = max(largest, float((actual[name] - gradient).abs().max()))
        for name, weight in weights.items():
            assert torch.equal(actual_weights[name], results[0][3][name]), f"{name} differs between processes"
        assert actual_moments.keys() == moments.keys()
        for index in moments if dtype == torch.float64 else ():
            torch.testing.assert_close(actual_moments[index], moments[index], rtol=0, atol=allowed)
    record_property("largest deviation of a gradient", largest)
    print(f"largest deviation of a gradient: {largest:.1e}")
    assert largest < allowed


def test_a_gathered_network_translates_as_a_whole_one():
    """Logits equal the logits of a network with the gathered weights."""
    options = ("current", True, True, False, torch.float64)
    *_, weights, _, logits = run_processes(2, train_sharded, *options)[1]
    model = network(*options)
    model.load_state_dict(weights)
    source, previous, _ = next(batches(0))
    torch.testing.assert_close(logits, model(source, previous)[0].detach())
