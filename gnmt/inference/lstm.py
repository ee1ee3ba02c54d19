"""LSTM layers of int8 and bf16, with exchangeable linear layers for their matrix products, and the LSTM cell.

Shapes: N rows (positions of all sequences, or hypotheses of a step), I input size, H hidden size, O output size of a
linear layer.

Gate pre-activations are in the order i, f, 2 g, o, as in gnmt.inference.gate_weights.
"""

from typing import Callable, List, Optional

import torch
from torch import Tensor, nn

from gnmt.inference.gate_weights import gate_weights
from gnmt.network.activations import BATCH_INVARIANT, FAST, Activations
from gnmt.network.clipping import Clip
from gnmt.network.lstm import LSTM, LSTMState

MakeLinear = Callable[[Tensor, Optional[Tensor]], nn.Module]  # builds a layer from weight (O, I) and bias (O,)


class InferenceLSTM(nn.Module):
    """LSTM layer that projects the inputs of all positions in one product, before the recurrence.

    A row of the result does not depend on the other rows, provided that the linear layers do not.

    Args:
        lstm: layer whose weights are copied.
        make_linear: builds the linear layers.
    """

    def __init__(self, lstm: LSTM, make_linear: MakeLinear):
        super().__init__()
        self.hidden_size = lstm.hidden_size
        weights = gate_weights(lstm, lstm.weight_ih_l0.size(1))
        self.input_product = make_linear(weights.inputs, weights.bias)
        self.hidden_product = make_linear(weights.hidden, None)

    def forward(self, inputs: Tensor, sizes: List[int], clip: Clip) -> Tensor:
        """Runs the layer over sequences of different lengths, from a state of zeros.

        Args:
            inputs: (N, I), the first positions of all sequences, then all second positions, and so on; longer sequences
                come first at each position.
            sizes: for each position, the number of sequences that are long enough to have it.
            clip: clips or rounds cell states.

        Returns:
            Outputs (N, H), in the same order.
        """
        outputs = inputs.new_empty(len(inputs), self.hidden_size)
        hidden = cell = inputs.new_zeros(sizes[0] if sizes else 0, self.hidden_size)
        for from_inputs, output in zip(self.input_product(inputs).split(sizes), outputs.split(sizes)):
            running = len(from_inputs)
            pre_activations = self.hidden_product(hidden[:running]).add_(from_inputs)
            hidden, cell = lstm_cell_from_gates(pre_activations, cell[:running], clip, BATCH_INVARIANT)
            output.copy_(hidden)
        return outputs


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
