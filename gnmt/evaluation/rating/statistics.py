"""Statistics of ratings: bootstrap intervals, sign test, agreement of raters."""

import math
from typing import Optional, Sequence, Tuple

import numpy as np

RESAMPLES = 10_000
SEED = 12345
TAIL = 2.5  # per cent outside a 95 % interval at each end


def mean_with_interval(values: Sequence[float]) -> Tuple[float, float, float]:
    """Returns the mean and the ends of its 95 % percentile interval from 10,000 bootstrap samples.

    Args:
        values: one value or more, such as the mean score of each item.
    """
    sample = np.asarray(values, dtype=np.float64)
    generator = np.random.default_rng(SEED)
    means = [sample[generator.integers(len(sample), size=len(sample))].mean() for _ in range(RESAMPLES)]
    low, high = np.percentile(means, [TAIL, 100 - TAIL])
    return float(sample.mean()), float(low), float(high)


def sign_test(wins: int, losses: int) -> float:
    """Returns the two-sided p-value of the sign test without ties; 1 if there are no wins and losses.

    p = P(at most min(wins, losses) of n) + P(at least max(wins, losses) of n), for n throws of a fair coin.
    """
    throws, fewer = wins + losses, min(wins, losses)
    tail = sum(math.comb(throws, count) for count in range(fewer + 1)) / 2**throws
    return min(1.0, 2 * tail)


def krippendorff_alpha(units: Sequence[Sequence[float]]) -> Optional[float]:
    """Returns Krippendorff's alpha for interval data: 1 is full agreement, 0 is the agreement expected by chance.

    alpha = 1 - D_o / D_e. D_o is the mean squared difference between two values of one unit. D_e is the mean squared
    difference between any two values. Source: Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability".

    Args:
        units: values of each unit, one for each rater; units with fewer than two values are ignored.

    Returns:
        alpha, or None if no unit has two values, or all values are equal.
    """
    paired = [unit for unit in units if len(unit) >= 2]
    values = [value for unit in paired for value in unit]
    expected = _squared_differences(values)
    if not expected:
        return None
    observed = sum(_squared_differences(unit) / (len(unit) - 1) for unit in paired) / len(values)
    return 1 - observed / (expected / (len(values) * (len(values) - 1)))


def _squared_differences(values: Sequence[float]) -> float:
    """Returns the sum of (v - w)^2 over all ordered pairs of values: 2 n sum(v^2) - 2 sum(v)^2."""
    return 2 * len(values) * sum(value * value for value in values) - 2 * sum(values) ** 2
