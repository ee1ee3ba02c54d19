"""An LSTM whose cell states are clipped at every position, which no fused kernel does.

Shapes: T positions, B rows, I input size, H hidden size. Gates are in the order i, f, g, o.
"""

from typing import Tuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def clipped_lstm(
    inputs: Tensor, hidden: Tensor, cell: Tensor, weight_ih: Tensor, weight_hh: Tensor, bias: Tensor, limit: float
) -> Tuple[Tensor, Tensor]:
    """inputs (T, B, I), initial hidden and cell (B, H), weight_ih (4H, I), weight_hh (4H, H), bias (4H,).

    Returns the hidden states and the cell states, (T, B, H) each; the gradient of a clipped cell state is zero.
    """
    return _ClippedLSTM.apply(inputs, hidden, cell, weight_ih, weight_hh, bias, limit)


class _ClippedLSTM(torch.autograd.Function):
    """Products with the inputs are one for all positions, as are those that make the weights' gradients."""

    @staticmethod
    @torch.amp.custom_fwd(device_type="cuda", cast_inputs=torch.float32)
    def forward(ctx, inputs, hidden, cell, weight_ih, weight_hh, bias, limit):
        positions, rows, _ = inputs.shape
        size = hidden.size(1)
        gates = torch.addmm(bias, inputs.flatten(0, 1), weight_ih.t()).view(positions, rows, 4 * size)
        cells, hiddens = gates.new_empty(positions, rows, size), gates.new_empty(positions, rows, size)
        before, state = cell, hidden
        for t in range(positions):
            gate = gates[t].addmm_(state, weight_hh.t())
            gate[:, : 2 * size].sigmoid_()
            gate[:, 2 * size : 3 * size].tanh_()
            gate[:, 3 * size :].sigmoid_()
            i, f, g, o = gate.chunk(4, dim=1)
            before = torch.mul(i, g, out=cells[t]).addcmul_(f, before).clamp_(-limit, limit)
            state = torch.mul(o, before.tanh(), out=hiddens[t])
        ctx.save_for_backward(inputs, hidden, cell, weight_ih, weight_hh, gates, cells, hiddens)
        ctx.limit = limit
        return hiddens, cells

    @staticmethod
    @once_differentiable
    @torch.amp.custom_bwd(device_type="cuda")
    def backward(ctx, hiddens_gradient, cells_gradient):
        inputs, hidden, cell, weight_ih, weight_hh, gates, cells, hiddens = ctx.saved_tensors
        i, f, g, o = gates.chunk(4, dim=2)
        cells_before = torch.cat([cell[None], cells[:-1]])
        inside = cells.abs() < ctx.limit
        tanh = cells.tanh()
        through_hidden = o * (1 - tanh * tanh)  # dh_t / dc_t
        # What the gradient of c'_t (for i, f, g) or h_t (for o) is multiplied with to be that of a gate's input.
        factors = torch.cat([g * i * (1 - i), cells_before * f * (1 - f), i * (1 - g * g), tanh * o * (1 - o)], dim=2)
        size = hidden.size(1)
        hidden_gradient, cell_gradient = torch.zeros_like(hidden), torch.zeros_like(cell)
        for t in range(len(inputs) - 1, -1, -1):
            hidden_gradient = hiddens_gradient[t] + hidden_gradient
            unclipped = torch.addcmul(cell_gradient + cells_gradient[t], hidden_gradient, through_hidden[t]) * inside[t]
            factors[t, :, : 3 * size].unflatten(1, (3, size)).mul_(unclipped[:, None])
            factors[t, :, 3 * size :].mul_(hidden_gradient)
            cell_gradient = unclipped * f[t]
            hidden_gradient = factors[t] @ weight_hh
        flat = factors.flatten(0, 1)  # (T B, 4H), the gradient of the gates' inputs
        hiddens_before = torch.cat([hidden[None], hiddens[:-1]]).flatten(0, 1)
        return (
            (flat @ weight_ih).view_as(inputs),
            hidden_gradient,
            cell_gradient,
            flat.t() @ inputs.flatten(0, 1),
            flat.t() @ hiddens_before,
            flat.sum(dim=0),
            None,
        )
