"""Conversion of seconds to figures of a table."""

from typing import Dict, List, NamedTuple, Sequence

import numpy as np

PERCENTILES = (50, 90, 95, 99)


class Spread(NamedTuple):
    """Of several repetitions."""

    median: float
    least: float
    most: float

    def __format__(self, specification: str) -> str:
        median, least, most = (format(value, specification) for value in self)
        return f"{median} ({least} - {most})"

    def divided(self, divisor: float) -> "Spread":
        return Spread(*(value / divisor for value in self))

    def rate(self, amount: float) -> "Spread":
        """Of seconds: how much of the amount a second."""
        return Spread(amount / self.median, amount / self.most, amount / self.least)


def spread(values: Sequence[float]) -> Spread:
    return Spread(float(np.median(values)), float(min(values)), float(max(values)))


def pairwise_ratio(seconds: Sequence[float], base: Sequence[float]) -> Spread:
    """seconds[i] / base[i], repetitions that followed each other: what slowed the machine slowed both."""
    assert len(seconds) == len(base), "contenders alternate"
    return spread([one / other for one, other in zip(seconds, base)])


def percentiles(values: Sequence[float]) -> Dict[str, float]:
    """{"p50": ..., ...}, with linear interpolation."""
    return {f"p{percent}": float(np.percentile(values, percent)) for percent in PERCENTILES}


def totals(seconds: Sequence[Sequence[float]]) -> List[float]:
    """Seconds of each repetition from those of its batches."""
    return [sum(batches) for batches in seconds]
