"""LSTM layers whose products are done by linear layers of the caller's choice: packed, or in 8-bit integers.

Shapes: B rows, T positions, I input size, H hidden size, O outputs of a linear layer.
"""
from typing import Callable, Optional, Tuple

import torch
from torch import Tensor, nn

from fairseq_gnmt.models.activations import FAST, Activations
from fairseq_gnmt.models.lstm import LSTM, LSTMState

MakeLinear = Callable[[Tensor, Optional[Tensor]], nn.Module]  # weight (O, I) and bias (O,) to a layer


class HoistedLSTM(nn.Module):
    """An LSTM layer that multiplies all its inputs at once, and then only its hidden state at every position."""

    def __init__(self, lstm: LSTM, make_linear: MakeLinear, activations: Activations = FAST):
        super().__init__()
        self.zero_state = lstm.zero_state
        self.activations = activations
        self.input_product = make_linear(for_gates(lstm.weight_ih_l0), gate_bias(lstm))
        self.hidden_product = make_linear(for_gates(lstm.weight_hh_l0), None)

    def forward(self, inputs: Tensor, state: LSTMState, clip: nn.Module) -> Tuple[Tensor, LSTMState]:
        """As LSTM.forward: inputs (B, T, I) to outputs (B, T, H) and the state after position T."""
        hidden, cell = state
        outputs = []
        for gates in self.input_product(inputs.transpose(0, 1)):
            hidden, cell = advance_cell(self.hidden_product(hidden).add_(gates), cell, clip, self.activations)
            outputs.append(hidden)
        return torch.stack(outputs, dim=1), (hidden, cell)


def gate_product(lstm: LSTM, input_size: int, make_linear: MakeLinear) -> nn.Module:
    """The layer from [input, hidden state] to the gates (4H); of the input, the first `input_size` elements."""
    weight = torch.cat([lstm.weight_ih_l0[:, :input_size], lstm.weight_hh_l0], dim=1)
    return make_linear(for_gates(weight), gate_bias(lstm))


def gate_bias(lstm: LSTM) -> Tensor:
    return for_gates(lstm.bias_ih_l0 + lstm.bias_hh_l0)


def for_gates(rows: Tensor) -> Tensor:
    """Weights (4H, I) or biases (4H,) of an LSTM as `advance_cell` wants them: those of the candidate g doubled.

    Doubling is exact in every precision, 8-bit integers with their scales included.
    """
    inputs, forget, candidate, output = rows.chunk(4)
    return torch.cat([inputs, forget, 2 * candidate, output])


def advance_cell(
    gates: Tensor, cell: Tensor, clip: nn.Module, activations: Activations = FAST
) -> LSTMState:
    """The LSTM's equations from its gates (B, 4H), in the order i, f, 2 g, o, which are overwritten, and cell (B, H).

    tanh(g) = 2 sigmoid(2 g) - 1, so one pass does all gates; float32 at least, as half precision would lose small numbers in
    the difference. `clip` has the new cell. Whatever can be done in place is: more memory would leave the processor's cache.
    """
    precise = activations.sigmoid_(gates.to(torch.promote_types(gates.dtype, torch.float32)))
    inputs, forget, candidate, output = precise.chunk(4, dim=1)
    cell = clip((forget * cell).addcmul_(inputs, candidate, value=2).sub_(inputs))
    return activations.tanh(cell).mul_(output).type_as(gates), cell
