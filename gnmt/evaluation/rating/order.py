"""Reproducible random orders: items are sorted by a hash of the seed and their names."""

import hashlib
from typing import List

from gnmt.evaluation.rating.campaign import Campaign, Item


def rank(seed: int, *parts: object) -> str:
    """Returns a pseudo-random sort key (SHA-256); equal arguments give the same key on every machine.

    Args:
        seed: seed of the order.
        parts: values that identify an item; their text is hashed.
    """
    return hashlib.sha256("\x1f".join(map(str, (seed, *parts))).encode("utf-8")).hexdigest()


def item_order(campaign: Campaign, rater: str) -> List[Item]:
    """Returns the items in the order of a rater's page; an item is repeated half a campaign later."""
    first = [item for item in campaign.items if item.repeats is None]
    first.sort(key=lambda item: rank(campaign.seed, "item", rater, item.id))
    places = {item.id: float(place) for place, item in enumerate(first)}
    for item in campaign.items:
        if item.repeats is not None:
            places[item.id] = (places[item.repeats] + len(first) / 2) % len(first) + 0.5
    return sorted(campaign.items, key=lambda item: (places[item.id], item.repeats is not None, item.id))


def output_order(seed: int, rater: str, item: Item) -> List[int]:
    """Returns the index of the output at each position of a rater's page.

    Args:
        seed: seed of the campaign.
        rater: name of the rater.
        item: item with the outputs.
    """
    return sorted(range(len(item.outputs)), key=lambda output: rank(seed, "output", rater, item.id, output))
