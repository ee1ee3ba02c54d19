"""LSTM layers with exchangeable linear layers for their matrix products: packed, bf16 or int8.

Shapes: N rows, T positions, I input size, H hidden size, O output size of a linear layer.
Gate pre-activations are in the order i, f, 2 g, o: the candidate g has a factor of 2.
"""

from typing import Callable, Optional, Tuple

import torch
from torch import Tensor, nn

from gnmt.network.activations import FAST, Activations
from gnmt.network.clipping import Clip
from gnmt.network.lstm import LSTM, LSTMState

MakeLinear = Callable[[Tensor, Optional[Tensor]], nn.Module]  # builds a layer from weight (O, I) and bias (O,)


class InferenceLSTM(nn.Module):
    """LSTM layer that projects the inputs of all positions in one product, before the recurrence.

    Args:
        lstm: layer whose weights are copied.
        make_linear: builds the linear layers.
        activations: sigmoid and tanh of the cell.
    """

    def __init__(self, lstm: LSTM, make_linear: MakeLinear, activations: Activations = FAST):
        super().__init__()
        self.zero_state = lstm.zero_state
        self.activations = activations
        self.input_product = make_linear(with_doubled_candidate(lstm.weight_ih_l0), gate_bias(lstm))
        self.hidden_product = make_linear(with_doubled_candidate(lstm.weight_hh_l0), None)

    def forward(self, inputs: Tensor, state: LSTMState, clip: Clip) -> Tuple[Tensor, LSTMState]:
        """Runs the layer over a sequence, as LSTM.forward does.

        Args:
            inputs: (N, T, I).
            state: hidden and cell state (N, H) before the first position.
            clip: clips or rounds cell states.

        Returns:
            Outputs (N, T, H) and the state after the last position.
        """
        hidden, cell = state
        outputs = []
        for from_inputs in self.input_product(inputs.transpose(0, 1)):
            pre_activations = self.hidden_product(hidden).add_(from_inputs)
            hidden, cell = lstm_cell_from_gates(pre_activations, cell, clip, self.activations)
            outputs.append(hidden)
        return torch.stack(outputs, dim=1), (hidden, cell)


def fused_gate_linear(lstm: LSTM, input_size: int, make_linear: MakeLinear) -> nn.Module:
    """Returns the linear layer from [input, hidden state] to pre-activations (4H).

    Args:
        lstm: layer whose weights are copied.
        input_size: number of leading input elements to use.
        make_linear: builds the linear layer.
    """
    weight = torch.cat([lstm.weight_ih_l0[:, :input_size], lstm.weight_hh_l0], dim=1)
    return make_linear(with_doubled_candidate(weight), gate_bias(lstm))


def gate_bias(lstm: LSTM) -> Tensor:
    """Returns the sum of both biases, (4H,)."""
    return with_doubled_candidate(lstm.bias_ih_l0 + lstm.bias_hh_l0)


def with_doubled_candidate(rows: Tensor) -> Tensor:
    """Doubles the candidate's rows of weights (4H, I) or biases (4H,), as `lstm_cell_from_gates` expects.

    Doubling is exact in every precision, including int8 with its scales.
    """
    inputs, forget, candidate, output = rows.chunk(4)
    return torch.cat([inputs, forget, 2 * candidate, output])


def lstm_cell_from_gates(
    pre_activations: Tensor, cell: Tensor, clip: Clip, activations: Activations = FAST
) -> LSTMState:
    """Returns the hidden and cell states (N, H) of an LSTM after one position.

    tanh(g) = 2 sigmoid(2 g) - 1, so one sigmoid computes all gates. Gates are in float32 or more precise: half
    precision would lose small numbers in the difference. Operations are in place, to keep operands in the cache.

    Args:
        pre_activations: (N, 4H), overwritten.
        cell: (N, H), cell states before the position.
        clip: clips or rounds the new cell states.
        activations: sigmoid and tanh of the cell.
    """
    precise = activations.sigmoid_(pre_activations.to(torch.promote_types(pre_activations.dtype, torch.float32)))
    inputs, forget, candidate, output = precise.chunk(4, dim=1)
    cell = clip((forget * cell).addcmul_(inputs, candidate, value=2).sub_(inputs))
    return activations.tanh(cell).mul_(output).type_as(pre_activations), cell
