"""Conversion of seconds to figures of a table."""

from typing import Dict, List, NamedTuple, Sequence

import numpy as np

PERCENTILES = (50, 90, 95, 99)


class Spread(NamedTuple):
    """Statistics of several repetitions."""

    median: float
    minimum: float
    maximum: float

    def __format__(self, specification: str) -> str:
        median, minimum, maximum = (format(value, specification) for value in self)
        return f"{median} ({minimum} - {maximum})"

    def divided(self, divisor: float) -> "Spread":
        return Spread(*(value / divisor for value in self))

    def rate(self, amount: float) -> "Spread":
        """Returns the amount per second, for a spread of seconds."""
        return Spread(amount / self.median, amount / self.maximum, amount / self.minimum)


def spread(values: Sequence[float]) -> Spread:
    return Spread(float(np.median(values)), float(min(values)), float(max(values)))


def pairwise_ratio(seconds: Sequence[float], base: Sequence[float]) -> Spread:
    """Returns the ratios seconds[i] / base[i]. Their runs follow each other, so a slow machine affects both."""
    assert len(seconds) == len(base), "contenders alternate"
    return spread([numerator / denominator for numerator, denominator in zip(seconds, base)])


def percentiles(values: Sequence[float]) -> Dict[str, float]:
    """Returns percentiles by name, such as "p50", with linear interpolation."""
    return {f"p{percent}": float(np.percentile(values, percent)) for percent in PERCENTILES}


def totals(seconds: Sequence[Sequence[float]]) -> List[float]:
    """Returns the seconds of each repetition, from the seconds of its batches."""
    return [sum(batches) for batches in seconds]
