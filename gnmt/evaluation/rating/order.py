"""Random orders that anyone can compute again: things are sorted by a hash of the seed and of their names."""

import hashlib
from typing import List

from gnmt.evaluation.rating.campaign import Campaign, Item


def rank(seed: int, *parts: object) -> str:
    """Returns a sort key that looks random; equal arguments give the same key on every machine (SHA-256)."""
    return hashlib.sha256("\x1f".join(map(str, (seed, *parts))).encode("utf-8")).hexdigest()


def item_order(campaign: Campaign, rater: str) -> List[Item]:
    """Returns the items in the order in which a rater sees them.

    Half of the campaign lies between an item and its repetition.
    """
    first = [item for item in campaign.items if item.repeats is None]
    first.sort(key=lambda item: rank(campaign.seed, "item", rater, item.id))
    places = {item.id: float(place) for place, item in enumerate(first)}
    for item in campaign.items:
        if item.repeats is not None:
            places[item.id] = (places[item.repeats] + len(first) / 2) % len(first) + 0.5
    return sorted(campaign.items, key=lambda item: (places[item.id], item.repeats is not None, item.id))


def output_order(seed: int, rater: str, item: Item) -> List[int]:
    """Returns the index of the output at each position, in the order in which a rater sees them."""
    return sorted(range(len(item.outputs)), key=lambda output: rank(seed, "output", rater, item.id, output))
