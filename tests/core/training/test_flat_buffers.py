"""Tests shards of a flat buffer: sizes by hand, and updates bit-identical to one optimizer over the whole network."""

import numpy as np
import pytest
import torch
from torch.nn import Parameter

from fairseq_gnmt.optim.adam import Float32Adam
from fairseq_gnmt.optim.adam_then_sgd import AdamThenSGD
from gnmt.training.flat_buffers import Shard, divide_into_shards, flatten, load_state, join, copy_state, unflatten
from gnmt.training.parameter_shard import ParameterShard

SHAPES = [(), (37, 5), (3,), (129,), (64, 17), (1,), (50, 11)]


def test_cuts_by_hand():
    assert divide_into_shards([10, 6], 1) == [Shard(0, 16, [10, 6])]
    assert divide_into_shards([10, 6], 2) == [
        Shard(0, 16, [10, 6])
    ]  # a tensor with fewer than 64 elements is not divided
    assert divide_into_shards([100, 28], 2) == [Shard(0, 64, [64]), Shard(64, 128, [36, 28])]
    assert divide_into_shards([128, 128, 300], 3) == [
        Shard(0, 128, [128]),
        Shard(128, 320, [128, 64]),
        Shard(320, 556, [236]),
    ]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 50])
def test_shards_cover_everything_in_nearly_equal_parts(count):
    sizes = [3000, 1, 64, 65, 0, 40_000, 17]
    shards = divide_into_shards(sizes, count)
    assert [shard.begin for shard in shards] == [0, *(shard.end for shard in shards[:-1])]
    assert shards[-1].end == sum(sizes)
    assert all(sum(shard.sizes) == shard.end - shard.begin > 0 for shard in shards)
    assert all(abs(shard.end - shard.begin - sum(sizes) / count) < 70 for shard in shards)


def parameters(seed: int = 1) -> list:
    torch.manual_seed(seed)
    return [Parameter(torch.randn(shape)) for shape in SHAPES]


def test_tensors_come_back_from_a_read_only_buffer():
    tensors, others = parameters(1), parameters(2)
    flat = flatten(tensors)
    assert flat.dtype == np.float32 and flat.shape == (sum(tensor.numel() for tensor in tensors),)
    flat.flags.writeable = False
    unflatten(flat, others)
    assert all(torch.equal(tensor, other) for tensor, other in zip(tensors, others))


def adam(pieces) -> torch.optim.Optimizer:
    return Float32Adam(pieces, lr=0.5, betas=(0.9, 0.98), weight_decay=0.01, fused=True)


def adam_then_sgd(pieces) -> torch.optim.Optimizer:
    return AdamThenSGD(pieces, adam_updates=7, lr=0.5, weight_decay=0.01, fused=True)


@pytest.mark.parametrize("make_optimizer", [adam, adam_then_sgd])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_servers_make_the_updates_of_one_optimizer(make_optimizer, count):
    """Includes the change from Adam to SGD, and new servers that load the states of former ones."""
    whole = parameters()
    optimizer = make_optimizer(whole)
    shards = divide_into_shards([tensor.numel() for tensor in whole], count)
    assert len(shards) == count

    def servers() -> list:
        flat, state = flatten(copy), copy_state(copied)
        return [
            ParameterShard(flat[shard.begin : shard.end], shard.sizes, state.part(shard), make_optimizer)
            for shard in shards
        ]

    copy = parameters()
    copied = make_optimizer(copy)
    running = servers()
    for update in range(12):
        rate = 0.1 / (update + 1)
        for tensor in whole:
            tensor.grad = torch.randn_like(tensor)
        optimizer.param_groups[0]["lr"] = rate
        gradient = flatten([tensor.grad for tensor in whole])
        optimizer.step()
        before = running[0].parameters()
        for server, shard in zip(running, shards):
            server.apply(gradient[shard.begin : shard.end], rate)
        assert not np.array_equal(before, running[0].parameters())
        if update in (4, 6, 8):
            states = [server.state() for server in running]
            unflatten(np.concatenate([flat for flat, _ in states]), copy)
            load_state(copied, join([state for _, state in states]))
            running = servers()
    flat = np.concatenate([server.parameters() for server in running])
    assert np.array_equal(flat, flatten(whole))
    state, expected = join([server.state()[1] for server in running]), copy_state(optimizer)
    assert state.counts == expected.counts and state.settings == expected.settings
    assert state.moments.keys() == expected.moments.keys()
    assert all(np.array_equal(state.moments[name], flat) for name, flat in expected.moments.items())


def test_a_state_keeps_its_shapes_and_not_the_learning_rate():
    first, second = parameters(), parameters()
    optimizer = adam(first)
    for tensor in first:
        tensor.grad = torch.ones_like(tensor)
    optimizer.step()
    loaded = adam(second)
    loaded.param_groups[0]["lr"] = 0.125
    load_state(loaded, copy_state(optimizer))
    assert loaded.param_groups[0]["lr"] == 0.125
    expected = optimizer.state_dict()["state"]
    for index, moments in loaded.state_dict()["state"].items():
        for name, value in moments.items():
            assert torch.equal(value, expected[index][name]) and value.shape == expected[index][name].shape
