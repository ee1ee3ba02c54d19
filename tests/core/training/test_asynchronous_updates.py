"""Tests asynchronous updates with simulated replicas: each batch makes one update, also if replicas die.

Expected counts are worked out by hand.
"""

import random
from typing import Any, List

import pytest

from gnmt.errors import UserError
from gnmt.training.asynchronous_updates import MAX_ATTEMPTS, AsynchronousUpdates, Outcome


class SimulatedReplicas:
    """Simulated replicas that answer, die and restart in a random order."""

    def __init__(self, count: int, seed: int, deaths: float = 0.0):
        self.choose, self.deaths = random.Random(seed), deaths
        self.free, self.starting = count, 0
        self.working: List[tuple] = []
        self.updates: List[tuple] = []  # (gradient, rate)
        self.most_at_work = 0

    def idle(self) -> bool:
        return self.free > 0

    def start(self, number: int, batch: Any) -> None:
        assert self.free
        self.free -= 1
        self.working.append((number, batch, len(self.updates)))
        self.most_at_work = max(self.most_at_work, len(self.working))

    def wait(self) -> List[Outcome]:
        assert self.working or self.starting
        if self.starting and (not self.working or self.choose.random() < 0.3):
            self.free, self.starting = self.free + 1, self.starting - 1
            return []
        number, batch, begun = self.working.pop(self.choose.randrange(len(self.working)))
        if self.choose.random() < self.deaths:
            self.starting += 1
            return [Outcome(number, None)]
        self.free += 1
        return [Outcome(number, (batch, begun))]

    def apply(self, gradient: Any, rate: float) -> None:
        self.updates.append((gradient, rate))


@pytest.mark.parametrize("deaths", [0.0, 0.15])
@pytest.mark.parametrize("count, max_staleness", [(1, 0), (2, 1), (2, 2), (4, 3), (4, 6)])
def test_every_batch_is_applied_once_and_in_time(count, max_staleness, deaths):
    for seed in range(20):
        replicas = SimulatedReplicas(count, seed, deaths)
        updates = AsynchronousUpdates(replicas, max_staleness)
        applied = []
        for number in range(40):
            applied += updates.submit(number, f"batch {number}", rate=0.1 * number)
            if number % 13 == 12:
                applied += updates.drain()
                assert sorted(update.batch for update in applied) == list(range(number + 1))
        applied += updates.drain()
        assert sorted(update.batch for update in applied) == list(range(40))
        assert [update.gradient for update in applied] == [gradient for gradient, _ in replicas.updates]
        assert [rate for _, rate in replicas.updates] == [0.1 * number for number in range(40)]
        for place, update in enumerate(applied):
            batch, begun = update.gradient
            assert batch == f"batch {update.batch}" and update.staleness == place - begun <= max_staleness
        assert replicas.most_at_work == count


def test_one_replica_learns_before_the_next_batch_is_wanted():
    replicas = SimulatedReplicas(1, seed=1)
    updates = AsynchronousUpdates(replicas, 0)
    for number in range(5):
        (applied,) = updates.submit(number, number, rate=1.0)
        assert applied.batch == number and applied.staleness == 0


def test_a_batch_that_ends_every_replica_ends_the_training():
    replicas = SimulatedReplicas(2, seed=1, deaths=1.0)
    updates = AsynchronousUpdates(replicas, 2)
    with pytest.raises(
        UserError, match=rf"{MAX_ATTEMPTS} replicas were killed while processing the batch of update \d+:"
    ):
        updates.submit(0, None, 1.0)
        updates.submit(1, None, 1.0)
        updates.drain()
