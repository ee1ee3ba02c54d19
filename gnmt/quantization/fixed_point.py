"""Exact sums: the result does not depend on the order of the terms or on added zeros.

Floating-point sums depend on the order of their terms, which a kernel chooses by the size of its inputs. Terms rounded
to multiples of a common unit have exact sums, so the order has no effect.

Shapes: B sentences, S source positions, O number of columns of the values.
"""

import torch
from torch import Tensor

SUM_UNIT = 2.0**-30  # 64-bit integers hold the sums of terms up to 128
WEIGHT_UNIT = 2.0**-12  # of attention weights, which are within 0..1
VALUE_BITS = 11  # bits of a rounded value, without the sign
EXPONENT = 0x7F800000  # exponent bits of a float32


def order_free_sum(terms: Tensor) -> Tensor:
    """Returns the sums (..., 1), float32, of terms (..., S) of at most 128 in magnitude.

    Terms are truncated to multiples of 2^-30.
    """
    return terms.mul(1 / SUM_UNIT).long().sum(dim=-1, keepdim=True).float().mul_(SUM_UNIT)


def round_weights(weights: Tensor) -> Tensor:
    """Returns attention weights rounded to multiples of 2^-12."""
    return weights.div(WEIGHT_UNIT).round_().mul_(WEIGHT_UNIT)


def round_values(values: Tensor) -> Tensor:
    """Rounds values (B, S, O) in place to 11 bits and a sign, relative to the largest of their sentence and column.

    The unit is a power of two, so sums of products with `round_weights` are exact in float32 for up to 8192 source
    positions. Weights of a row sum to 1; rounded, they are integers with a sum of at most 4096 + S / 2. With values up to
    2^11 in their unit, the sum fits into the 24 bits of float32. Longer sources are translated too, with rounded sums.
    """
    largest = torch.maximum(values.amax(dim=1, keepdim=True), values.amin(dim=1, keepdim=True).neg_())
    power = (largest.view(torch.int32) & EXPONENT).view(torch.float32)  # power of two, at most the largest value
    # A float32 between 2^23 and 2^24 units has no digits below the unit, so this addition rounds to the unit.
    shift = power.mul_(1.5 * 2.0 ** (24 - VALUE_BITS))
    return values.add_(shift).sub_(shift)
