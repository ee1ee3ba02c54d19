"""Tests LSTM layers against torch's LSTM with the same weights."""

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from gnmt.network.clipping import ActivationClip, ClipSchedule
from gnmt.network.lstm import (
    LSTM,
    BidirectionalLSTM,
    permute_positions,
    recompute_activations,
    reversal,
    rotation,
)

NO_CLIP = ActivationClip()


def test_step_by_step_equals_one_pass(device):
    torch.manual_seed(1)
    lstm = LSTM(5, 7).to(device)
    inputs = torch.randn(3, 6, 5).to(device)
    state = (torch.randn(3, 7).to(device), torch.randn(3, 7).to(device))
    outputs, final = lstm(inputs, state, NO_CLIP)
    steps = []
    for position in range(6):
        step, state = lstm(inputs[:, position : position + 1], state, NO_CLIP)
        steps.append(step)
    torch.testing.assert_close(torch.cat(steps, dim=1), outputs)
    torch.testing.assert_close(state, final)


@pytest.mark.parametrize("clip", [NO_CLIP, ActivationClip(ClipSchedule(0.2, 0.2, 0, 0))], ids=["free", "clipped"])
def test_recomputed_layers_keep_less_and_have_the_same_gradients(clip, device):
    def kept_and_gradients(recomputed: bool):
        torch.manual_seed(3)
        layer = nn.ModuleList([LSTM(5, 7)]).to(device)
        if recomputed:
            recompute_activations(layer)
        inputs, *state = (torch.randn(*shape).to(device) for shape in ((3, 6, 5), (3, 7), (3, 7)))
        inputs.requires_grad_()
        kept = {}
        with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.setdefault(t.data_ptr(), t), lambda t: t):
            outputs, (hidden, cell) = layer[0](inputs, tuple(state), clip)
        loss = outputs.square().sum() + hidden.sum() + cell.sum()
        return sum(tensor.numel() for tensor in kept.values()), torch.autograd.grad(loss, [inputs, *layer.parameters()])

    plain, expected = kept_and_gradients(False)
    recomputed, gradients = kept_and_gradients(True)
    assert all(map(torch.equal, gradients, expected))
    assert recomputed == 3 * 6 * 5 < plain  # only the inputs are kept


def test_bidirectional_equals_packed_sequences(device):
    torch.manual_seed(2)
    layer = BidirectionalLSTM(4, 3).to(device)
    torch_lstm = nn.LSTM(4, 3, batch_first=True, bidirectional=True).to(device)
    torch_lstm.load_state_dict(
        {f"{name}": value for name, value in layer.forward_lstm.state_dict().items()}
        | {f"{name}_reverse": value for name, value in layer.backward_lstm.state_dict().items()}
    )
    lengths = torch.tensor([6, 1, 4])
    inputs = torch.randn(3, 6, 4).to(device).requires_grad_()
    mask = (torch.arange(6)[None] < lengths[:, None]).to(device)
    packed, _ = torch_lstm(pack_padded_sequence(inputs, lengths, batch_first=True, enforce_sorted=False))
    expected, _ = pad_packed_sequence(packed, batch_first=True)
    outputs = layer(inputs, lengths.to(device), NO_CLIP)
    torch.testing.assert_close(outputs[mask], expected[mask])
    weights = torch.randn_like(expected)[mask]
    gradients = [torch.autograd.grad((result[mask] * weights).sum(), inputs)[0] for result in (outputs, expected)]
    torch.testing.assert_close(*gradients)


def test_reversal_and_rotation():
    assert reversal(torch.tensor([3, 5, 1]), 5).tolist() == [[2, 1, 0, 4, 3], [4, 3, 2, 1, 0], [0, 4, 3, 2, 1]]
    assert rotation(torch.tensor([2, 0, -1]), 4).tolist() == [[2, 3, 0, 1], [0, 1, 2, 3], [3, 0, 1, 2]]


def test_permutation_and_its_gradient(device):
    inputs = torch.randn(2, 4, 3, dtype=torch.double, device=device, requires_grad=True)
    order, inverse = (rotation(torch.tensor(steps, device=device), 4) for steps in ([1, 3], [-1, -3]))
    expected = torch.stack([inputs[row, order[row]] for row in range(2)])
    torch.testing.assert_close(permute_positions(inputs, order, inverse), expected)
    torch.testing.assert_close(permute_positions(expected, inverse, order), inputs)
    assert torch.autograd.gradcheck(lambda x: permute_positions(x, order, inverse), (inputs,))
