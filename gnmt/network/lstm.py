"""LSTM layers of encoder and decoder.

Shapes: N rows, T positions of a sequence, I input size, H hidden size.
"""

from typing import Tuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from gnmt.network.clipping import ActivationClip
from gnmt.network.product_precision import product_precision
from gnmt.network.recurrence import lstm_recurrence

LSTMState = Tuple[Tensor, Tensor]  # hidden (N, H) and cell (N, H)


class LSTM(nn.LSTM):
    """One unidirectional LSTM layer, batch first; its state is passed in and returned.

    Args:
        input_size: features I of the inputs.
        hidden_size: hidden units H.
    """

    def __init__(self, input_size: int, hidden_size: int):
        super().__init__(input_size, hidden_size, batch_first=True)
        self.recomputed = False  # recompute_activations sets it

    def forward(self, inputs: Tensor, state: LSTMState, clip: ActivationClip) -> Tuple[Tensor, LSTMState]:
        """Runs the layer over a sequence. Cell states are clipped; outputs are not.

        Args:
            inputs: (N, T, I).
            state: hidden and cell state (N, H) before the first position.
            clip: limit of cell states.

        Returns:
            Outputs (N, T, H) and the state after the last position.
        """
        if self.recomputed and torch.is_grad_enabled():
            return checkpoint(self._run, inputs, state, clip, use_reentrant=False, preserve_rng_state=False)
        return self._run(inputs, state, clip)

    def _run(self, inputs: Tensor, state: LSTMState, clip: ActivationClip) -> Tuple[Tensor, LSTMState]:
        precision = product_precision(inputs)
        if clip.limit is not None or (precision == torch.bfloat16 and inputs.device.type == "cpu"):
            # oneDNN's bfloat16 LSTM rounds cell states and is up to 2.5 times slower for large hidden sizes.
            weight_ih, weight_hh, bias_ih, bias_hh = self._flat_weights
            outputs, cell = lstm_recurrence(
                inputs.transpose(0, 1), *state, weight_ih, weight_hh, bias_ih + bias_hh, clip.limit, precision
            )
            return outputs.transpose(0, 1), (outputs[-1], cell)
        if inputs.size(1) == 1:
            # For one time step nn.LSTM is up to 8x slower than torch.lstm_cell, with identical results.
            hidden, cell = torch.lstm_cell(inputs[:, 0], state, *self._flat_weights)
            return hidden[:, None], (hidden, cell)
        hidden, cell = state
        outputs, (hidden, cell) = super().forward(inputs, (hidden[None].contiguous(), cell[None].contiguous()))
        return outputs, (hidden[0], cell[0])

    def zero_state(self, inputs: Tensor) -> LSTMState:
        """Returns a state of zeros on the device of the weights, for inputs (N, T, I)."""
        zeros = inputs.new_zeros(inputs.size(0), self.hidden_size, device=self.weight_hh_l0.device)
        return zeros, zeros


def recompute_activations(model: nn.Module) -> None:
    """Enables activation checkpointing.

    LSTMs recompute their forward pass during backward instead of storing about 10 floats per unit and time step.
    """
    for module in model.modules():
        if isinstance(module, LSTM):
            module.recomputed = True


class BidirectionalLSTM(nn.Module):
    """One bidirectional LSTM layer over the true length of each sentence.

    The backward direction is an ordinary LSTM over reversed sentences. Packed sequences would not use the fused kernels
    of oneDNN (CPU) and cuDNN (GPU).

    Args:
        input_size: features I of the inputs.
        hidden_size: hidden units H of each direction.
    """

    def __init__(self, input_size: int, hidden_size: int):
        super().__init__()
        self.forward_lstm = LSTM(input_size, hidden_size)
        self.backward_lstm = LSTM(input_size, hidden_size)

    def forward(self, inputs: Tensor, lengths: Tensor, clip: ActivationClip) -> Tensor:
        """Runs both directions, which may be on two devices and then run at the same time.

        Args:
            inputs: (N, T, I), padded on the right.
            lengths: (N,), true lengths.
            clip: limit of cell states.

        Returns:
            Outputs (N, T, 2H), forward direction first.
        """
        order = reversal(lengths, inputs.size(1))
        zeros = self.backward_lstm.zero_state(inputs)
        reversed_inputs = permute_positions(inputs, order, order).to(zeros[0].device)
        forward_outputs, _ = self.forward_lstm(inputs, self.forward_lstm.zero_state(inputs), clip)
        backward_outputs, _ = self.backward_lstm(reversed_inputs, zeros, clip)
        backward_outputs = permute_positions(backward_outputs.to(inputs.device), order, order)
        return torch.cat([forward_outputs, backward_outputs], dim=-1)


def reversal(lengths: Tensor, size: int) -> Tensor:
    """Returns the permutation (N, T) that reverses the first `lengths` (N,) of `size` positions.

    The permutation is its own inverse.
    """
    positions = torch.arange(size, device=lengths.device)
    return (lengths[:, None] - 1 - positions) % size


def rotation(steps: Tensor, size: int) -> Tensor:
    """Returns the permutation (N, T) that rotates rows of `size` positions to the left by `steps` (N,)."""
    return (torch.arange(size, device=steps.device) + steps[:, None]) % size


def permute_positions(inputs: Tensor, order: Tensor, inverse: Tensor) -> Tensor:
    """Returns the inputs with position order[n, t] of row n at position t.

    Args:
        inputs: (N, T, H).
        order: (N, T), a permutation of the positions of each row.
        inverse: (N, T), its inverse.
    """
    return _PermutePositions.apply(inputs, order, inverse)


class _PermutePositions(torch.autograd.Function):
    """A gather whose gradient is also a gather: the gradient of a permutation needs no scatter-add."""

    @staticmethod
    def forward(ctx, inputs: Tensor, order: Tensor, inverse: Tensor) -> Tensor:
        ctx.save_for_backward(inverse)
        return _take_positions(inputs, order)

    @staticmethod
    def backward(ctx, gradient: Tensor):
        (inverse,) = ctx.saved_tensors
        return _take_positions(gradient, inverse), None, None


def _take_positions(inputs: Tensor, order: Tensor) -> Tensor:
    batch, size, width = inputs.shape
    rows = order + size * torch.arange(batch, device=order.device)[:, None]
    return inputs.reshape(batch * size, width).index_select(0, rows.flatten()).view(batch, size, width)
