"""Checkpoints whose matrices are stored as 8-bit integers, a quarter of the size.

A stored matrix is read back as float32 numbers that have exactly these integers and scales, so such a checkpoint loads
wherever another does. With it `--quantize int8` computes what it computes with the original: rows have their scales in
the blocks that a search multiplies with (inference.step_decoder), so that nothing is rounded twice.

Shapes: O rows, I columns, n blocks of equally many columns.
"""
from typing import Dict

import torch
from torch import Tensor

from fairseq_gnmt.quantization.int8_linear import integers_of, row_scales

INTEGERS, SCALE = ".int8", ".scale"
DECODER_LSTMS = "decoder.stack."
WEIGHT_IH, WEIGHT_HH = "weight_ih_l0", "weight_hh_l0"


def is_stored_as_integers(name: str, value: Tensor) -> bool:
    """All matrices but those of the attention, which stay in floats (Wu et al. 2016, section 6)."""
    return value.dim() == 2 and value.is_floating_point() and ".attention." not in name


def to_integers(state: Dict[str, Tensor]) -> Dict[str, Tensor]:
    """A state dict with `name.int8` (O, I) and `name.scale` (O, n) in place of each matrix.

    What shares memory is stored once.
    """
    stored: Dict[str, Tensor] = {}
    made: Dict[int, Dict[str, Tensor]] = {}
    for name, value in state.items():
        if not is_stored_as_integers(name, value):
            stored[name] = value
            continue
        if value.data_ptr() not in made:
            scale = block_scales(name, state)
            made[value.data_ptr()] = {INTEGERS: integers_of(value, spread(scale, value)), SCALE: scale}
        stored.update((name + part, tensor) for part, tensor in made[value.data_ptr()].items())
    return stored


def to_floats(state: Dict[str, Tensor]) -> None:
    """Puts the matrices of `to_integers` back, in place; leaves other state dicts as they are."""
    for name in [name for name in state if name.endswith(INTEGERS)]:
        matrix = name[: -len(INTEGERS)]
        integers, scale = state.pop(name), state.pop(matrix + SCALE)
        state[matrix] = integers.to(torch.float32) * spread(scale, integers)


def block_scales(name: str, state: Dict[str, Tensor]) -> Tensor:
    """The scales (O, n) of a matrix: one a row, but in the decoder's LSTMs.

    There a row of the weights of the layer below has one scale with the same row of the hidden state's weights; that of
    the context's weights, which follow those of the layer below in the upper layers, has its own.
    """
    if not (name.startswith(DECODER_LSTMS) and name.endswith((WEIGHT_IH, WEIGHT_HH))):
        return row_scales(state[name])[:, None]
    layer = name[: -len(WEIGHT_IH)]
    inputs, hidden = state[layer + WEIGHT_IH], state[layer + WEIGHT_HH]
    below, context = inputs.split([hidden.size(1), inputs.size(1) - hidden.size(1)], dim=1)
    joined = row_scales(torch.cat([below, hidden], dim=1))
    if name.endswith(WEIGHT_HH) or context.size(1) == 0:
        return joined[:, None]
    return torch.stack([joined, row_scales(context)], dim=1)


def spread(scale: Tensor, matrix: Tensor) -> Tensor:
    """Scales (O, n), or (O,) as the first files had them, of the columns of a matrix: (O, I)."""
    scale = scale.view(len(matrix), -1)
    return scale.repeat_interleave(matrix.size(1) // scale.size(1), dim=1)
