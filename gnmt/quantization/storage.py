"""Storage of matrices as 8-bit integers, at a quarter of the size of float32.

A stored matrix is loaded as float32 numbers that have exactly these integers and scales, so every loader of float
checkpoints accepts it. Scales are per row and per group of columns, where a group contains the columns that inference
multiplies at once (inference.gates). Nothing is rounded twice: `--precision int8` gives equal results with the stored
and the original matrix.

Shapes: O rows, I columns, G groups of equal width.
"""

from typing import Dict

import torch
from torch import Tensor

from gnmt.quantization.int8_linear import quantize, row_scales

INTEGERS, SCALE = ".int8", ".scale"
DECODER_LSTMS = "decoder.stack."
WEIGHT_IH, WEIGHT_HH = "weight_ih_l0", "weight_hh_l0"


def is_stored_as_integers(name: str, value: Tensor) -> bool:
    """Returns True for all matrices except attention matrices (Wu et al. 2016, section 6).

    Args:
        name: key in a state dict.
        value: its tensor.
    """
    return value.dim() == 2 and value.is_floating_point() and ".attention." not in name


def to_integers(state: Dict[str, Tensor]) -> Dict[str, Tensor]:
    """Returns a state dict with `name.int8` (O, I) and `name.scale` (O, G) in place of each matrix.

    Tensors that share memory are stored once.
    """
    stored: Dict[str, Tensor] = {}
    matrices: Dict[int, Dict[str, Tensor]] = {}
    for name, value in state.items():
        if not is_stored_as_integers(name, value):
            stored[name] = value
            continue
        if value.data_ptr() not in matrices:
            scale = group_scales(name, state)
            matrices[value.data_ptr()] = {INTEGERS: quantize(value, expand_scales(scale, value)), SCALE: scale}
        stored.update((name + part, tensor) for part, tensor in matrices[value.data_ptr()].items())
    return stored


def to_floats(state: Dict[str, Tensor]) -> None:
    """Restores the matrices of `to_integers` in place; leaves other state dicts unchanged."""
    for name in [name for name in state if name.endswith(INTEGERS)]:
        matrix = name[: -len(INTEGERS)]
        integers, scale = state.pop(name), state.pop(matrix + SCALE)
        state[matrix] = integers.to(torch.float32) * expand_scales(scale, integers)


def group_scales(name: str, state: Dict[str, Tensor]) -> Tensor:
    """Returns the scales (O, G) of a matrix: one per row, except in the decoder's LSTMs.

    In the decoder's LSTMs, the columns of the layer below and of the hidden state share one scale per row. The columns
    of the context, which follow the columns of the layer below in upper layers, have their own scale.

    Args:
        name: key of the matrix.
        state: state dict with both matrices of the layer.
    """
    if not (name.startswith(DECODER_LSTMS) and name.endswith((WEIGHT_IH, WEIGHT_HH))):
        return row_scales(state[name])[:, None]
    layer = name.rpartition(".")[0] + "."
    inputs, hidden = state[layer + WEIGHT_IH], state[layer + WEIGHT_HH]
    below, context = inputs.split([hidden.size(1), inputs.size(1) - hidden.size(1)], dim=1)
    joined = row_scales(torch.cat([below, hidden], dim=1))
    if name.endswith(WEIGHT_HH) or context.size(1) == 0:
        return joined[:, None]
    return torch.stack([joined, row_scales(context)], dim=1)


def expand_scales(scale: Tensor, matrix: Tensor) -> Tensor:
    """Returns one scale per element of a matrix, (O, I), from scales (O, G), or (O,) as in early files."""
    scale = scale.view(len(matrix), -1)
    return scale.repeat_interleave(matrix.size(1) // scale.size(1), dim=1)
