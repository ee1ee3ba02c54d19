"""LSTM layers with weights in the memory layout of oneDNN's kernel.

Shapes: N rows, T positions, I input size, H hidden size.
"""

from typing import Tuple

import torch
from torch import Tensor, nn

from gnmt.inference.packed_linear import can_pack
from gnmt.network.clipping import Clip
from gnmt.network.lstm import LSTM, LSTMState

LSTM_MODE = 2  # of at::native's recurrent layers


class PackedLSTM(nn.Module):
    """Inference version of LSTM in float32 on a CPU, without clipping.

    oneDNN reorders the weights of nn.LSTM at every call, which takes longer than encoding a sentence of ten words.
    Weights are copied: later changes of the originals have no effect.
    """

    def __init__(self, lstm: LSTM):
        super().__init__()
        self.hidden_size, self.zero_state = lstm.hidden_size, lstm.zero_state
        weight_ih, weight_hh, bias_ih, bias_hh = (weight.detach() for weight in lstm._flat_weights)
        self.bias_ih, self.bias_hh = bias_ih.clone(), bias_hh.clone()
        self.packed_ih, self.packed_hh = torch.ops.mkldnn._reorder_mkldnn_rnn_layer_weight(
            weight_ih, weight_hh, lstm.hidden_size, reverse=False, has_biases=True, batch_first=False
        )

    def forward(self, inputs: Tensor, state: LSTMState, clip: Clip) -> Tuple[Tensor, LSTMState]:
        """Runs the layer over a sequence, as LSTM.forward does.

        Args:
            inputs: (N, T, I).
            state: hidden and cell state (N, H) before the first position.
            clip: unused.

        Returns:
            Outputs (N, T, H) and the state after the last position.
        """
        hidden, cell = state
        outputs, hidden, cell, _ = torch.ops.aten.mkldnn_rnn_layer(
            inputs.transpose(0, 1).contiguous(),
            self.packed_ih, self.packed_hh, self.bias_ih, self.bias_hh,
            hidden[None], cell[None],
            reverse=False, batch_sizes=[], mode=LSTM_MODE, hidden_size=self.hidden_size, num_layers=1,
            has_biases=True, bidirectional=False, batch_first=False, train=False,
        )  # fmt: skip
        return outputs.transpose(0, 1), (hidden[0], cell[0])


def can_pack_lstms(weight: Tensor) -> bool:
    """Returns True if LSTMs with weights of this type and device can be packed."""
    has_operators = hasattr(torch.ops.mkldnn, "_reorder_mkldnn_rnn_layer_weight") and hasattr(
        torch.ops.aten, "mkldnn_rnn_layer"
    )
    return can_pack(weight) and has_operators
