"""LSTM by its equations, one position at a time; autograd computes the gradients."""

import torch


def plain_lstm(inputs, hidden, cell, weight_ih, weight_hh, bias, limit):
    """Returns hidden states (T, B, H) and all cell states, clipped to +-limit, for inputs (T, B, I)."""
    hiddens, cells = [], []
    for x in inputs:
        i, f, g, o = (x @ weight_ih.t() + hidden @ weight_hh.t() + bias).chunk(4, dim=1)
        cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
        cell = cell if limit is None else torch.clamp(cell, -limit, limit)
        hidden = o.sigmoid() * cell.tanh()
        hiddens.append(hidden)
        cells.append(cell)
    return torch.stack(hiddens), torch.stack(cells)
