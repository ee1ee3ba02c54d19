"""Products of 8-bit weights and 8-bit inputs, by the fastest kernel for the number of rows.

All kernels return equal numbers, so a translation does not depend on the number of rows. Sums are exact integers. A sum
is converted to float32 and multiplied by the scale of its weight row. Conversion rounds sums above 2^24, which requires
more than 1040 inputs at their limit.

Shapes: N rows of inputs, I input size, O output size. Integers of inputs, from -qmax to qmax, are stored in float32.
"""

import functools
from typing import Callable, NamedTuple, Optional

import torch
from torch import Tensor
from torch.nn import functional as F

WEIGHT_QMAX = 127  # weights are integers from -127 to 127
# oneDNN multiplies unsigned by signed bytes. Processors without VNNI add pairs of products in 16 bits, which can hold
# 2 x 127 x 127 but not 2 x 255 x 127. Inputs have 7 bits on these processors.
ACTIVATION_QMAX_8BIT, ACTIVATION_QMAX_7BIT = 127, 63
EXACT_IN_FLOATS = 1 << 24  # float32 represents all integers up to this one
# Up to this number of rows FBGEMM in half precision is faster than oneDNN's packing of bytes (measured on AVX2).
FEW_ROWS = 16

# Maps integers (N, I) to (N, O): sums of products, times the scale of each weight row.
Matmul = Callable[[Tensor], Tensor]


class Int8Kernels(NamedTuple):
    """Kernels of one weight matrix, for few and for many rows of inputs."""

    qmax: int  # of the inputs
    few_rows: Matmul  # up to FEW_ROWS
    many_rows: Matmul


def make_kernels(weight: Tensor, scale: Tensor) -> Int8Kernels:
    """Chooses and packs the kernels for weight (O, I), int8, with scale (O,), float32."""
    qmax = onednn_activation_qmax()
    if qmax is None:
        floats = FloatMatmul(weight, scale)
        return Int8Kernels(ACTIVATION_QMAX_8BIT, floats, floats)
    onednn = OneDnnInt8Matmul(weight, scale, qmax)
    exact = weight.size(1) * qmax * WEIGHT_QMAX <= EXACT_IN_FLOATS
    use_fp16 = qmax == ACTIVATION_QMAX_7BIT and exact and has_exact_fp16_matmul()
    return Int8Kernels(qmax, FbgemmFp16Matmul(weight, scale) if use_fp16 else onednn, onednn)


class OneDnnInt8Matmul:
    """oneDNN kernel in 8-bit integers: the fastest for many rows, and for any number with VNNI.

    Args:
        weight: (O, I), int8.
        scale: (O,), float32.
        qmax: limit of the inputs.
    """

    def __init__(self, weight: Tensor, scale: Tensor, qmax: int):
        self.packed, self.scale, self.qmax = torch.ops.onednn.qlinear_prepack(weight, None), scale, qmax
        self.zero_points = torch.zeros(len(weight), dtype=torch.long)

    def __call__(self, integers: Tensor) -> Tensor:
        # torch converts floats to int8 faster than to uint8. Adding qmax + 1 modulo 256 then gives the unsigned value.
        unsigned = integers.to(torch.int8).view(torch.uint8).add_(self.qmax + 1)
        return torch.ops.onednn.qlinear_pointwise(
            unsigned, 1.0, self.qmax + 1, self.packed, self.scale, self.zero_points,
            None, 1.0, 0, torch.float32, "none", [], "",
        )  # fmt: skip


class FbgemmFp16Matmul:
    """FBGEMM kernel with half-precision weights, which represent int8 exactly, and float32 sums.

    With few rows most of the time is spent reading weights, which have two bytes here and four in float32. oneDNN reads
    one byte per weight, but without VNNI it repacks all weights in every product.

    Args:
        weight: (O, I), int8.
        scale: (O,), float32.
    """

    def __init__(self, weight: Tensor, scale: Tensor):
        self.packed, self.scale = torch.ops.quantized.linear_prepack_fp16(weight.float(), None), scale

    def __call__(self, integers: Tensor) -> Tensor:
        return torch.ops.quantized.linear_dynamic_fp16(integers, self.packed).mul_(self.scale)


class FloatMatmul:
    """Float product with equal results, for torch builds without the operators; slow.

    Wide layers are summed in float64, which represents every sum exactly.

    Args:
        weight: (O, I), int8.
        scale: (O,), float32.
    """

    def __init__(self, weight: Tensor, scale: Tensor):
        exact = weight.size(1) * ACTIVATION_QMAX_8BIT * WEIGHT_QMAX <= EXACT_IN_FLOATS
        self.weight, self.scale = weight.to(torch.float32 if exact else torch.float64), scale

    def __call__(self, integers: Tensor) -> Tensor:
        return F.linear(integers.to(self.weight.dtype), self.weight).float().mul_(self.scale)


@functools.cache
def onednn_activation_qmax() -> Optional[int]:
    """Returns the largest qmax that oneDNN multiplies exactly on this processor; None if oneDNN is unavailable."""
    if not (hasattr(torch.ops.onednn, "qlinear_prepack") and hasattr(torch.ops.onednn, "qlinear_pointwise")):
        return None
    weight = torch.full((16, 64), WEIGHT_QMAX, dtype=torch.int8)
    for qmax in (ACTIVATION_QMAX_8BIT, ACTIVATION_QMAX_7BIT):
        try:
            sums = OneDnnInt8Matmul(weight, torch.ones(16), qmax)(torch.full((2, 64), float(qmax)))
        except RuntimeError:  # the operator exists with another signature
            return None
        if (sums == 64 * qmax * WEIGHT_QMAX).all():
            return qmax
    return None


@functools.cache
def has_exact_fp16_matmul() -> bool:
    """Returns True if FBGEMM is available and its sums are exact."""
    if not (
        hasattr(torch.ops.quantized, "linear_prepack_fp16") and hasattr(torch.ops.quantized, "linear_dynamic_fp16")
    ):
        return False
    weight = torch.full((16, 64), WEIGHT_QMAX, dtype=torch.int8)
    try:
        sums = FbgemmFp16Matmul(weight, torch.ones(16))(torch.full((2, 64), float(ACTIVATION_QMAX_7BIT)))
    except RuntimeError:
        return False
    return bool((sums == 64 * ACTIVATION_QMAX_7BIT * WEIGHT_QMAX).all())
