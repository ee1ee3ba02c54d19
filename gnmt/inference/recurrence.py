"""LSTM layers whose matrix products are linear layers of the caller's choice: packed, or in 8-bit integers.

Shapes: B rows, T positions, I input size, H hidden size, O outputs of a linear layer.
Gate pre-activations are in the order i, f, 2 g, o: the candidate g has a factor of 2.
"""

from typing import Callable, Optional, Tuple

import torch
from torch import Tensor, nn

from gnmt.network.activations import FAST, Activations
from gnmt.network.lstm import LSTM, LSTMState

MakeLinear = Callable[[Tensor, Optional[Tensor]], nn.Module]  # weight (O, I) and bias (O,) to a layer


class LSTMWithHoistedInputProjection(nn.Module):
    """LSTM layer that multiplies the inputs of all positions at once, and only its hidden state at every position."""

    def __init__(self, lstm: LSTM, make_linear: MakeLinear, activations: Activations = FAST):
        super().__init__()
        self.zero_state = lstm.zero_state
        self.activations = activations
        self.input_product = make_linear(with_doubled_candidate(lstm.weight_ih_l0), gate_bias(lstm))
        self.hidden_product = make_linear(with_doubled_candidate(lstm.weight_hh_l0), None)

    def forward(self, inputs: Tensor, state: LSTMState, clip: nn.Module) -> Tuple[Tensor, LSTMState]:
        """Computes what LSTM.forward computes: outputs (B, T, H) and the state after position T, from inputs (B, T, I)."""
        hidden, cell = state
        outputs = []
        for from_inputs in self.input_product(inputs.transpose(0, 1)):
            pre_activations = self.hidden_product(hidden).add_(from_inputs)
            hidden, cell = lstm_cell_from_gates(pre_activations, cell, clip, self.activations)
            outputs.append(hidden)
        return torch.stack(outputs, dim=1), (hidden, cell)


def fused_gate_linear(lstm: LSTM, input_size: int, make_linear: MakeLinear) -> nn.Module:
    """Returns the layer from [input, hidden state] to pre-activations (4H), for the first `input_size` input elements."""
    weight = torch.cat([lstm.weight_ih_l0[:, :input_size], lstm.weight_hh_l0], dim=1)
    return make_linear(with_doubled_candidate(weight), gate_bias(lstm))


def gate_bias(lstm: LSTM) -> Tensor:
    """Returns the sum of both biases, (4H,)."""
    return with_doubled_candidate(lstm.bias_ih_l0 + lstm.bias_hh_l0)


def with_doubled_candidate(rows: Tensor) -> Tensor:
    """Doubles the candidate's rows of weights (4H, I) or biases (4H,), as `lstm_cell_from_gates` expects.

    Doubling is exact in every precision, 8-bit integers with their scales included.
    """
    inputs, forget, candidate, output = rows.chunk(4)
    return torch.cat([inputs, forget, 2 * candidate, output])


def lstm_cell_from_gates(
    pre_activations: Tensor, cell: Tensor, clip: nn.Module, activations: Activations = FAST
) -> LSTMState:
    """Applies the equations of an LSTM to its pre-activations (B, 4H), which are overwritten, and to its cell (B, H).

    tanh(g) = 2 sigmoid(2 g) - 1, so one pass computes all gates. It takes float32 at least, as half precision would lose
    small numbers in the difference. Operations are in place, so that the operands stay in the processor's cache. `clip`
    is applied to the new cell.
    """
    precise = activations.sigmoid_(pre_activations.to(torch.promote_types(pre_activations.dtype, torch.float32)))
    inputs, forget, candidate, output = precise.chunk(4, dim=1)
    cell = clip((forget * cell).addcmul_(inputs, candidate, value=2).sub_(inputs))
    return activations.tanh(cell).mul_(output).type_as(pre_activations), cell
