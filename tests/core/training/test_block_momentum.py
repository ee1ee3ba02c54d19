"""Tests block momentum and the synchronisation of optimizer states, against values worked out by hand."""

import pytest
import torch
import torch.distributed as dist

from fairseq_gnmt.criterions.label_smoothed_cross_entropy import ratio
from gnmt.training.block_momentum import BlockFilter, average, filtered, moments, broadcast_from_first
from process_groups import run_processes


@pytest.mark.parametrize(
    "block_filter, weights, velocities",
    [
        # Without momentum: the mean of the replicas.
        (BlockFilter(0.0), [6.0, 2.0], [4.0, 4.0]),
        (BlockFilter(0.0, rate=0.5), [8.0, 6.0], [2.0, 2.0]),
        # 10 - 4; then 6 - (0.5 * 4 + 4).
        (BlockFilter(0.5), [6.0, 0.0], [4.0, 6.0]),
        # 10 - 1.5 * 4; then 4 - 1.5 * (0.5 * 4 + 4).
        (BlockFilter(0.5, nesterov=True), [4.0, -5.0], [4.0, 6.0]),
    ],
    ids=str,
)
def test_two_blocks_by_hand(block_filter, weights, velocities):
    """In each block the mean of the replicas changes by -4."""
    start, velocity = torch.tensor([10.0]), torch.zeros(1)
    for weight, moved in zip(weights, velocities):
        start = filtered(start - 4, start, velocity, block_filter)
        assert start.item() == weight and velocity.item() == moved


def in_each_process():
    rank = dist.get_rank()
    averaged, copied = torch.tensor([1.0 + rank]), torch.tensor([5.0 + rank])
    average([averaged])
    broadcast_from_first([copied])
    return averaged, copied


def test_average_and_first_of_three_processes():
    assert run_processes(3, in_each_process) == [(torch.tensor([2.0]), torch.tensor([5.0]))] * 3


def test_moments_are_in_a_fixed_order_without_counters():
    weights = [torch.nn.Parameter(torch.ones(size)) for size in (2, 3)]
    optimizer = torch.optim.Adam(weights)
    assert moments(optimizer) == []
    sum(weight.sum() for weight in weights).backward()
    optimizer.step()
    assert [moment.shape for moment in moments(optimizer)] == [(2,), (2,), (3,), (3,)]


def test_ratio_of_0_and_0_is_0():
    assert ratio(6.0, 3) == 2 and ratio(0.0, 0) == 0
    assert ratio(torch.tensor(6.0), torch.tensor(3)) == 2 and ratio(torch.tensor(0.0), torch.tensor(0)) == 0
