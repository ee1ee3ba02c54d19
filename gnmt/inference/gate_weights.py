"""Weights of an LSTM layer, prepared for decoding.

Gate pre-activations are in the order i, f, 2 g, o. The rows of the candidate g are doubled for tanh(g) = 2 sigmoid(2 g)
- 1: one sigmoid then computes all gates. Doubling is exact in every precision, including int8 with its scales.

Shapes: I input size without the context, H hidden size, which is also the size of the context.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from gnmt.network.lstm import LSTM


class GateWeights(NamedTuple):
    """Copies of the weights of a layer, by what they multiply."""

    inputs: Tensor  # (4H, I)
    context: Tensor  # (4H, H); (4H, 0) for a layer without context
    hidden: Tensor  # (4H, H)
    bias: Tensor  # (4H,), sum of both biases


def gate_weights(lstm: LSTM, input_size: int) -> GateWeights:
    """Returns the weights of a layer.

    Args:
        lstm: layer whose weights are copied.
        input_size: I; the remaining columns of the input weights belong to the context.
    """
    inputs, context = lstm.weight_ih_l0[:, :input_size], lstm.weight_ih_l0[:, input_size:]
    bias = lstm.bias_ih_l0 + lstm.bias_hh_l0
    return GateWeights(*map(_with_doubled_candidate, (inputs, context, lstm.weight_hh_l0, bias)))


def _with_doubled_candidate(rows: Tensor) -> Tensor:
    inputs, forget, candidate, output = rows.chunk(4)
    return torch.cat([inputs, forget, 2 * candidate, output])
