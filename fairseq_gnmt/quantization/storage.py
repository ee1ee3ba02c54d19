"""Checkpoints whose matrices are stored as 8-bit integers, a quarter of the size.

A stored matrix is read back as float32 numbers that have exactly these integers and scales, so such a checkpoint loads
wherever another does. With it `--quantize int8` computes what it computes with the original, but in the decoder's LSTMs:
a search joins parts of their matrices, whose rows then have other scales, so these are rounded once more.
"""
from typing import Dict, Tuple

import torch
from torch import Tensor

from fairseq_gnmt.quantization.int8_linear import quantize_rows

INTEGERS, SCALE = ".int8", ".scale"


def is_stored_as_integers(name: str, value: Tensor) -> bool:
    """All matrices but those of the attention, which computes in floats (Wu et al. 2016, section 6)."""
    return value.dim() == 2 and value.is_floating_point() and ".attention." not in name


def to_integers(state: Dict[str, Tensor]) -> Dict[str, Tensor]:
    """A state dict with `name.int8` and `name.scale` in place of each matrix; what shares memory is stored once."""
    stored: Dict[str, Tensor] = {}
    made: Dict[int, Tuple[Tensor, Tensor]] = {}
    for name, value in state.items():
        if not is_stored_as_integers(name, value):
            stored[name] = value
            continue
        if value.data_ptr() not in made:
            made[value.data_ptr()] = quantize_rows(value)
        stored[name + INTEGERS], stored[name + SCALE] = made[value.data_ptr()]
    return stored


def to_floats(state: Dict[str, Tensor]) -> None:
    """Puts the matrices of `to_integers` back, in place; leaves other state dicts as they are."""
    for name in [name for name in state if name.endswith(INTEGERS)]:
        matrix = name[: -len(INTEGERS)]
        integers, scale = state.pop(name), state.pop(matrix + SCALE)
        state[matrix] = integers.to(torch.float32) * scale[:, None]
