"""Finite sets that can be counted and sampled without listing their elements."""

import random
from itertools import accumulate
from typing import Any, Callable, Optional, Sequence, Union


class OneOf:
    """Set of the given items, with equal probabilities."""

    def __init__(self, items: Sequence[Any]):
        self.items = items
        self.size = len(items)

    def draw(self, rng: random.Random) -> Any:
        return rng.choice(self.items)


class Either:
    """Union of disjoint sets; `weights`, not the sizes, determine the probability of each set."""

    def __init__(self, *parts: Any, weights: Optional[Sequence[float]] = None):
        weighted = [(part, weight) for part, weight in zip(parts, weights or [1] * len(parts)) if part.size]
        self.parts = [part for part, _ in weighted]
        self.cumulative_weights = list(accumulate(weight for _, weight in weighted))
        self.size = sum(part.size for part in self.parts)

    def draw(self, rng: random.Random) -> Any:
        return rng.choices(self.parts, cum_weights=self.cumulative_weights)[0].draw(rng)


class Every:
    """Set of `build(a, b, ...)` for every a of the first set, b of the second, ...; `build` must be injective."""

    def __init__(self, build: Callable[..., Any], *parts: Any):
        self.build = build
        self.parts = parts
        self.size = 1
        for part in parts:
            self.size *= part.size

    def draw(self, rng: random.Random) -> Any:
        return self.build(*(part.draw(rng) for part in self.parts))


FiniteSet = Union[OneOf, Either, Every]
