"""The clipped LSTM one position at a time, as its equations stand; autograd does the rest."""

import torch


def plain_clipped_lstm(inputs, hidden, cell, weight_ih, weight_hh, bias, limit):
    """inputs (T, B, I); returns hidden and cell states (T, B, H)."""
    hiddens, cells = [], []
    for x in inputs:
        i, f, g, o = (x @ weight_ih.t() + hidden @ weight_hh.t() + bias).chunk(4, dim=1)
        cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
        cell = torch.clamp(cell, -limit, limit)
        hidden = o.sigmoid() * cell.tanh()
        hiddens.append(hidden)
        cells.append(cell)
    return torch.stack(hiddens), torch.stack(cells)
