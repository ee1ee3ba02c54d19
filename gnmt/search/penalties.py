"""Scores of translations (Wu et al. 2016, section 7, equation 14). Scores are natural logarithms.

Shapes: any leading dimensions, S source positions.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from gnmt.quantization.fixed_point import order_free_sum


class LengthPenalty(Protocol):
    """Positive divisor of the log-probability of a translation."""

    def __call__(self, length: Tensor) -> Tensor:
        """Returns the penalties of translations of `length` tokens, including EOS, in the shape of `length`."""

    def largest(self, first: Tensor, last: Tensor) -> Tensor:
        """Returns the largest penalty (B,) for lengths from `first` (B,) to `last` (B,), for early stopping.

        The result is undefined if last < first.
        """


@dataclass(frozen=True)
class GNMTLengthPenalty:
    """Length penalty lp(Y) = (c + |Y|)^a / (c + 1)^a, which grows with the length (Wu et al. 2016, equation 14).

    Args:
        factor: a, at least 0.
        const: c.
    """

    factor: float
    const: float = 5.0

    def __call__(self, length: Tensor) -> Tensor:
        # In float32 the last bit of a power would depend on the element's position in the batch.
        return (((self.const + length.double()) / (self.const + 1)) ** self.factor).float()

    def largest(self, first: Tensor, last: Tensor) -> Tensor:
        """Returns the penalty of the length `last` (B,): the penalty grows with the length."""
        return self(last)


def coverage_penalty(coverage: Tensor, padding_mask: Tensor, factor: float) -> Tensor:
    """Returns cp(X; Y) = b * sum_i log(min(sum_j p_ij, 1)), (...), at most 0 (Wu et al. 2016, equation 14).

    The result is finite: a position without attention counts as the smallest positive float32. Padding does not change
    any bit of the result.

    Args:
        coverage: (..., S), sum of the attention on each source position over the target positions.
        padding_mask: (..., S), True at PAD.
        factor: b.
    """
    coverage = coverage.float().clamp(torch.finfo(torch.float32).tiny, 1.0)
    return factor * order_free_sum(coverage.log().masked_fill(padding_mask, 0.0))[..., 0]
