"""LSTM over whole sequences in torch operations, for cases without a fused kernel: clipped cells, bfloat16 on a CPU.

Input projections and weight gradients are one product for all positions. Products may be in half precision. Gates and
cell states are computed in float32 or more precise. For the gradient, gates are stored in the precision of the products
and cell states in float32.

Shapes: T positions of a sequence, N rows, I input size, H hidden size. Gates are in the order i, f, g, o.
"""

from typing import Optional, Tuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

sigmoid_backward, tanh_backward = torch.ops.aten.sigmoid_backward, torch.ops.aten.tanh_backward  # of the outputs


def lstm_recurrence(
    inputs: Tensor,
    hidden: Tensor,
    cell: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias: Tensor,
    limit: Optional[float],
    precision: torch.dtype,
) -> Tuple[Tensor, Tensor]:
    """Runs an LSTM layer.

    Args:
        inputs: (T, N, I).
        hidden: (N, H), before the first position.
        cell: (N, H), before the first position.
        weight_ih: (4H, I).
        weight_hh: (4H, H).
        bias: (4H,), sum of both biases.
        limit: cell states are clipped to -limit..limit, with zero gradient where clipped; None disables clipping.
        precision: type of the products and of the hidden states.

    Returns:
        Hidden states (T, N, H), and the cell state (N, H) after the last position in float32 or more precise.
    """
    return _Recurrence.apply(inputs, hidden, cell, weight_ih, weight_hh, bias, limit, precision)


class _Recurrence(torch.autograd.Function):
    @staticmethod
    def forward(ctx, inputs, hidden, cell, weight_ih, weight_hh, bias, limit, precision):
        accumulation_dtype = torch.promote_types(precision, torch.float32)
        positions, rows, _ = inputs.shape
        size = hidden.size(1)
        inputs_in = inputs.to(precision).contiguous()
        weight_ih_in, weight_hh_in = weight_ih.to(precision), weight_hh.to(precision)
        gates = torch.addmm(bias.to(precision), inputs_in.flatten(0, 1), weight_ih_in.t()).view(positions, rows, -1)
        # Index 0 contains the state before the first position.
        hiddens = hidden.new_empty(positions + 1, rows, size, dtype=precision)
        cells = cell.new_empty(positions + 1, rows, size, dtype=accumulation_dtype)
        hiddens[0], cells[0] = hidden, cell
        hidden_at, cell_at = hiddens.unbind(), cells.unbind()
        for t, pre_activations in enumerate(gates.unbind()):
            gate = pre_activations.addmm_(hidden_at[t], weight_hh_in.t()).to(accumulation_dtype)
            i, f, g, o = gate.chunk(4, dim=1)
            # One sigmoid for all gates, because tanh(x) = 2 sigmoid(2x) - 1. On a CPU it is as fast as torch's tanh, or up to
            # ten times faster (gnmt.network.activations).
            g.mul_(2)
            gate.sigmoid_()
            g.mul_(2).sub_(1)
            pre_activations.copy_(gate)
            torch.mul(i, g, out=cell_at[t + 1]).addcmul_(f, cell_at[t])
            if limit is not None:
                cell_at[t + 1].clamp_(-limit, limit)
            hidden_at[t + 1].copy_(_tanh(cell_at[t + 1]).mul_(o))
        ctx.save_for_backward(inputs_in, weight_ih_in, weight_hh_in, gates, cells, hiddens)
        ctx.limit = limit
        ctx.dtypes = [tensor.dtype for tensor in (inputs, hidden, cell, weight_ih, weight_hh, bias)]
        ctx.set_materialize_grads(False)
        return hiddens[1:], cells[-1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx, hiddens_gradient, cell_gradient):
        inputs, weight_ih, weight_hh, gates, cells, hiddens = ctx.saved_tensors
        positions, rows, size = len(inputs), cells.size(1), cells.size(2)
        gradients = torch.empty_like(gates)  # of the pre-activations
        step_gradient = cells.new_empty(rows, 4 * size)  # of the pre-activations at one position
        step_i, step_f, step_g, step_o = step_gradient.chunk(4, dim=1)
        bias_gradient = cells.new_zeros(4 * size)
        hidden_gradient = torch.zeros_like(cells[0])
        cell_gradient = torch.zeros_like(cells[0]) if cell_gradient is None else cell_gradient.clone()
        cell_at, gate_at, gradient_at = cells.unbind(), gates.unbind(), gradients.unbind()
        for t in range(positions - 1, -1, -1):
            i, f, g, o = gate_at[t].to(cells.dtype).chunk(4, dim=1)
            tanh = _tanh(cell_at[t + 1])
            if hiddens_gradient is not None:
                hidden_gradient += hiddens_gradient[t]
            cell_gradient += tanh_backward(hidden_gradient * o, tanh)
            if ctx.limit is not None:
                cell_gradient *= cell_at[t + 1].abs() < ctx.limit
            sigmoid_backward(cell_gradient * g, i, grad_input=step_i)
            sigmoid_backward(cell_gradient * cell_at[t], f, grad_input=step_f)
            tanh_backward(cell_gradient * i, g, grad_input=step_g)
            sigmoid_backward(hidden_gradient * tanh, o, grad_input=step_o)
            bias_gradient += step_gradient.sum(dim=0)
            gradient_at[t].copy_(step_gradient)
            cell_gradient *= f
            hidden_gradient = (gradient_at[t] @ weight_hh).to(cells.dtype)
        flat = gradients.flatten(0, 1)  # (T N, 4H)
        all_gradients = (
            (flat @ weight_ih).view_as(inputs),
            hidden_gradient,
            cell_gradient,
            flat.t() @ inputs.flatten(0, 1),
            flat.t() @ hiddens[:-1].flatten(0, 1),
            bias_gradient,
        )
        return *(gradient.to(dtype) for gradient, dtype in zip(all_gradients, ctx.dtypes)), None, None


def _tanh(inputs: Tensor) -> Tensor:
    return inputs.tanh() if inputs.device.type != "cpu" else (2 * inputs).sigmoid_().mul_(2).sub_(1)
