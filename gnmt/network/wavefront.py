"""Wavefront order of the layers of a stack over chunks of a sequence (Wu et al. 2016, section 3).

Layer l needs chunk c of the layer below and its own state after chunk c - 1. All pairs with equal l + c are therefore
independent, and layers on different devices are expected to compute them at the same time (not yet measured on GPUs):

    chunk      0      1      2      3
    layer 0    1st    2nd    3rd    4th
    layer 1    2nd    3rd    4th    5th
    layer 2    3rd    4th    5th    6th

Shapes: N rows, T positions of a chunk, S source positions, H hidden size.
"""

from typing import Any, Callable, List, NamedTuple, Optional, Sequence, Tuple

import torch
from torch import Tensor

from gnmt.network.clipping import ActivationClip
from gnmt.network.dropout import Dropout
from gnmt.network.lstm import LSTM, LSTMState

FIRST_RESIDUAL_LAYER = 2  # from 0: the third layer, Wu et al. (2016) figure 1


class Chunk(NamedTuple):
    """Consecutive positions of a batch between two layers of a stack."""

    features: Tensor  # (N, T, H), outputs of the layer below
    positions: slice  # of the whole sequence
    context: Optional[Tensor] = None  # (N, T, H), of the decoder's attention
    weights: Optional[Tensor] = None  # (N, T, S), of the decoder's attention


LayerFunction = Callable[[Chunk, Any], Tuple[Chunk, Any]]  # the second argument and result is the layer's state


def split_chunks(features: Tensor, count: int) -> List[Chunk]:
    """Splits features into chunks of equal length; some chunks may be one position shorter.

    Args:
        features: (N, T, H).
        count: number of chunks; limited to T.
    """
    length = features.size(1)
    count = max(1, min(count, length))
    if count == 1:
        return [Chunk(features, slice(0, length))]
    ends = [-(-length * (number + 1) // count) for number in range(count)]
    starts = [0, *ends[:-1]]
    parts = features.split([end - start for start, end in zip(starts, ends)], dim=1)
    return [Chunk(part, slice(start, end)) for part, start, end in zip(parts, starts, ends)]


def join_chunks(parts: Sequence[Tensor]) -> Tensor:
    """Returns the whole sequence from its chunks (N, T, ...)."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts), dim=1)


def schedule(layers: int, chunks: int) -> List[Tuple[int, int]]:
    """Returns all pairs of a layer and a chunk in wavefront order, upper layers first within a step.

    A copy between GPUs is expected to be queued behind the running work of its source GPU. An upper layer that came
    later in a step would then receive its input one chunk later.

    Args:
        layers: number of layers.
        chunks: number of chunks.
    """
    steps = range(layers + chunks - 1)
    return [(layer, step - layer) for step in steps for layer in reversed(range(layers)) if 0 <= step - layer < chunks]


def run_wavefront(
    layers: Sequence[LayerFunction], chunks: Sequence[Chunk], states: Sequence[Any]
) -> Tuple[List[Chunk], List[Any]]:
    """Runs the layers over the chunks of a sequence.

    Args:
        layers: functions of a chunk and the layer's state before it, bottom first.
        chunks: input of the bottom layer.
        states: states of the layers before the first chunk.

    Returns:
        Chunks after the top layer, and the states of the layers after the last chunk.
    """
    chunks, states = list(chunks), list(states)
    for layer, chunk in schedule(len(layers), len(chunks)):
        chunks[chunk], states[layer] = layers[layer](chunks[chunk], states[layer])
    return chunks, states


class UpperLayerPass:
    """One pass over a sequence by a layer above the first: dropout, LSTM, residual connection, clipping.

    Runs on the device of its state; chunks are moved there.
    """

    def __init__(self, lstm: LSTM, index: int, length: int, dropout: Dropout, clip: ActivationClip):
        """Prepares a pass.

        Args:
            lstm: layer; its inputs are the features below, followed by the context if the chunks have one.
            index: index of the layer in its stack, from 0.
            length: number of positions of the whole sequence.
            dropout: dropout of the inputs.
            clip: limit of cell states and outputs.
        """
        self.lstm, self.length, self.dropout, self.clip = lstm, length, dropout, clip
        self.is_residual = index >= FIRST_RESIDUAL_LAYER
        self.dropout_mask: Optional[Tensor] = None  # of the whole sequence

    def __call__(self, chunk: Chunk, state: LSTMState) -> Tuple[Chunk, LSTMState]:
        device = state[0].device
        below, context = chunk.features.to(device), chunk.context
        inputs = below
        if context is not None:
            context = context.to(device)
            inputs = torch.cat([below, context], dim=-1)
        outputs, state = self.lstm(self._drop(inputs, chunk.positions), state, self.clip)
        if self.is_residual:
            outputs = outputs + below
        return chunk._replace(features=self.clip(outputs), context=context), state

    def _drop(self, inputs: Tensor, positions: slice) -> Tensor:
        # Layers reach their first chunk one after another, so masks are drawn in a fixed order.
        if positions.start == 0:
            self.dropout_mask = self.dropout.draw((inputs.size(0), self.length, inputs.size(2)), inputs.device)
        return self.dropout(inputs, self.dropout_mask if self.dropout_mask is None else self.dropout_mask[:, positions])
