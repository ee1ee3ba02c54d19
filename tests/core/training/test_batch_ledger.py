"""Tests the bound on the staleness of gradients for orders of arrival worked out by hand and random orders."""

import random

import pytest

from gnmt.training.batch_ledger import BatchLedger


def ledger(max_staleness: int, *outstanding: int) -> BatchLedger:
    made = BatchLedger(max_staleness)
    for batch in outstanding:
        assert made.may_hand_out()
        made.hand_out(batch)
    return made


def test_a_bound_of_0_allows_one_batch_at_a_time():
    batches = ledger(0, 7)
    assert not batches.may_hand_out() and batches.applicable() is None
    batches.finish(7)
    assert batches.applicable() == 7 and batches.apply(7) == 0
    assert batches.may_hand_out()


def test_gradients_overtake_as_long_as_there_is_slack():
    # Both begin before update 1. If 1 overtakes 0, 0 has staleness 1; if 2 overtakes it too, it reaches the bound.
    two = ledger(1, 0, 1)
    assert not two.may_hand_out()
    two.finish(1)
    assert two.applicable() == 1 and two.apply(1) == 0
    two.hand_out(2)
    two.finish(2)
    assert two.applicable() is None  # 0 would have staleness 2
    two.finish(0)
    assert two.applicable() == 0 and two.apply(0) == 1
    assert two.apply(2) == 1


def test_a_batch_without_slack_is_not_overtaken_by_the_one_behind_it():
    # In order their staleness is 0, 1 and 2: only the first two have slack, so 2 may overtake both, but only once.
    three = ledger(2, 0, 1, 2)
    three.finish(2)
    assert three.apply(2) == 0
    three.hand_out(3)
    three.finish(3)  # begun after update 1; in order it follows 0 and 1
    assert three.applicable() is None  # 1 follows 0, so it already has staleness 2
    three.finish(0)
    assert three.apply(three.applicable()) == 1


def test_a_batch_that_comes_back_begins_anew():
    two = ledger(1, 0, 1)
    two.finish(1)
    two.apply(1)
    two.take_back(0)
    two.hand_out(0)
    two.finish(0)
    assert two.apply(0) == 0


@pytest.mark.parametrize("max_staleness", [0, 1, 2, 5])
def test_no_order_of_arrival_breaks_the_bound_or_stops_the_training(max_staleness):
    choose = random.Random(max_staleness)
    tested, number, largest = BatchLedger(max_staleness), 0, 0
    working = set()
    for _ in range(3000):
        if tested.may_hand_out() and choose.random() < 0.6:
            tested.hand_out(number)
            working.add(number)
            number += 1
        elif working:
            batch = choose.choice(sorted(working))
            working.remove(batch)
            if choose.random() < 0.05:
                tested.take_back(batch)
            else:
                tested.finish(batch)
        while (batch := tested.applicable()) is not None:
            staleness = tested.apply(batch)
            largest = max(largest, staleness)
        assert working or tested.may_hand_out()  # when every replica has responded, all gradients are applied
    assert largest == max_staleness and number > 500
