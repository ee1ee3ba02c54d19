"""How GNMT scores a translation (Wu et al. 2016, section 7, equation 14). Scores are natural logarithms.

Shapes: any leading dimensions, S source positions.
"""
from typing import Union

import torch
from torch import Tensor

from gnmt.quantization.fixed_point import order_free_sum


def length_penalty(length: Union[int, Tensor], factor: float, const: float = 5.0) -> Union[float, Tensor]:
    """lp(Y) = (c + |Y|)^a / (c + 1)^a

    length counts the end mark, as the log-probability does; a = factor, c = const.
    """
    return ((const + length) / (const + 1)) ** factor


def coverage_penalty(coverage: Tensor, padding_mask: Tensor, factor: float) -> Tensor:
    """cp(X; Y) = b * sum_i log(min(sum_j p_ij, 1))

    coverage (..., S) is the attention that each source position has had, summed over target positions;
    padding_mask (..., S) is True at padding, which costs nothing. b = factor. Returns (...), at most 0 and
    finite: a position that had no attention at all counts as the smallest positive float32. Padding does not change the
    result in any bit.
    """
    coverage = coverage.float().clamp(torch.finfo(torch.float32).tiny, 1.0)
    return factor * order_free_sum(coverage.log().masked_fill(padding_mask, 0.0))[..., 0]
