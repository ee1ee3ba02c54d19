"""Products of 8-bit weights with 8-bit inputs, by the fastest kernel for the number of rows.

All kernels give the same numbers, so a translation does not depend on the number of rows. Sums are exact integers. A sum
is converted to float32 and multiplied by the scale of its weight row, so it is rounded to 24 bits if it exceeds 2^24,
which takes more than 1040 inputs at their limit.
Shapes: N rows of inputs, I inputs, O outputs. Integers of inputs, from -levels to levels, are held in float32.
"""
import functools
from typing import Callable, NamedTuple, Optional

import torch
from torch import Tensor
from torch.nn import functional as F

LEVELS = 127  # weights are integers from -127 to 127
# oneDNN multiplies unsigned by signed bytes. Processors without VNNI add pairs of products in 16 bits, which hold
# 2 x 127 x 127 but not 2 x 255 x 127: there the inputs get 7 bits.
EIGHT_BITS, SEVEN_BITS = 127, 63
EXACT_IN_FLOATS = 1 << 24  # whole numbers up to here are float32
FEW_ROWS = 16  # measured on AVX2: up to here reading half-precision weights takes less than oneDNN's packing of bytes

Product = Callable[[Tensor], Tensor]  # integers (N, I) to (N, O): sums of products times the scale of each weight row


class Products(NamedTuple):
    levels: int  # of the inputs
    few_rows: Product  # up to FEW_ROWS
    many_rows: Product


def make_products(weight: Tensor, scale: Tensor) -> Products:
    """weight (O, I), int8; scale (O,), float32."""
    levels = onednn_levels()
    if levels is None:
        floats = FloatProduct(weight, scale)
        return Products(EIGHT_BITS, floats, floats)
    in_bytes = ByteProduct(weight, scale, levels)
    exact = weight.size(1) * levels * LEVELS <= EXACT_IN_FLOATS
    in_halves = levels == SEVEN_BITS and exact and has_half_products()
    return Products(levels, HalfProduct(weight, scale) if in_halves else in_bytes, in_bytes)


class ByteProduct:
    """oneDNN's, in 8-bit integers: the fastest for many rows, and with VNNI for all."""

    def __init__(self, weight: Tensor, scale: Tensor, levels: int):
        self.packed, self.scale, self.levels = torch.ops.onednn.qlinear_prepack(weight, None), scale, levels
        self.zero_points = torch.zeros(len(weight), dtype=torch.long)

    def __call__(self, integers: Tensor) -> Tensor:
        # Bytes wrap round, so the shift makes them unsigned; from floats to signed ones is torch's faster conversion.
        unsigned = integers.to(torch.int8).view(torch.uint8).add_(self.levels + 1)
        return torch.ops.onednn.qlinear_pointwise(
            unsigned, 1.0, self.levels + 1, self.packed, self.scale, self.zero_points,
            None, 1.0, 0, torch.float32, "none", [], "",
        )  # fmt: skip


class HalfProduct:
    """FBGEMM's, with weights in half precision, which holds them exactly, and float32 sums.

    With few rows the time goes into reading weights: two bytes each here, four in float32. oneDNN reads one, but without
    VNNI it lays all of them out anew in every product.
    """

    def __init__(self, weight: Tensor, scale: Tensor):
        self.packed, self.scale = torch.ops.quantized.linear_prepack_fp16(weight.float(), None), scale

    def __call__(self, integers: Tensor) -> Tensor:
        return torch.ops.quantized.linear_dynamic_fp16(integers, self.packed).mul_(self.scale)


class FloatProduct:
    """The same numbers by a float product, for torch builds without the operators; slow.

    Wide layers are summed in float64, which holds every sum exactly.
    """

    def __init__(self, weight: Tensor, scale: Tensor):
        exact = weight.size(1) * EIGHT_BITS * LEVELS <= EXACT_IN_FLOATS
        self.weight, self.scale = weight.to(torch.float32 if exact else torch.float64), scale

    def __call__(self, integers: Tensor) -> Tensor:
        return F.linear(integers.to(self.weight.dtype), self.weight).float().mul_(self.scale)


@functools.cache
def onednn_levels() -> Optional[int]:
    """The levels of inputs that oneDNN multiplies exactly on this processor; None if it cannot at all."""
    if not (hasattr(torch.ops.onednn, "qlinear_prepack") and hasattr(torch.ops.onednn, "qlinear_pointwise")):
        return None
    weight = torch.full((16, 64), LEVELS, dtype=torch.int8)
    for levels in (EIGHT_BITS, SEVEN_BITS):
        try:
            sums = ByteProduct(weight, torch.ones(16), levels)(torch.full((2, 64), float(levels)))
        except RuntimeError:  # a torch that has the name and another signature
            return None
        if (sums == 64 * levels * LEVELS).all():
            return levels
    return None


@functools.cache
def has_half_products() -> bool:
    """Whether FBGEMM is there, and sums exactly."""
    if not (hasattr(torch.ops.quantized, "linear_prepack_fp16") and hasattr(torch.ops.quantized, "linear_dynamic_fp16")):
        return False
    weight = torch.full((16, 64), LEVELS, dtype=torch.int8)
    try:
        sums = HalfProduct(weight, torch.ones(16))(torch.full((2, 64), float(SEVEN_BITS)))
    except RuntimeError:
        return False
    return bool((sums == 64 * SEVEN_BITS * LEVELS).all())
