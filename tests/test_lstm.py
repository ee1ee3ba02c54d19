"""Layers against torch's own on the same weights."""
import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from gnmt.network.clipping import ActivationClip, ClipSchedule
from gnmt.network.lstm import (
    LSTM, BidirectionalLSTM, permute_positions, recompute_activations, reversal, rotation,
)

NO_CLIP = ActivationClip()


def test_step_by_step_equals_one_pass():
    torch.manual_seed(1)
    lstm = LSTM(5, 7)
    inputs = torch.randn(3, 6, 5)
    state = (torch.randn(3, 7), torch.randn(3, 7))
    outputs, final = lstm(inputs, state, NO_CLIP)
    steps = []
    for position in range(6):
        step, state = lstm(inputs[:, position : position + 1], state, NO_CLIP)
        steps.append(step)
    torch.testing.assert_close(torch.cat(steps, dim=1), outputs)
    torch.testing.assert_close(state, final)


@pytest.mark.parametrize("clip", [NO_CLIP, ActivationClip(ClipSchedule(0.2, 0.2, 0, 0))], ids=["free", "clipped"])
def test_recomputed_layers_keep_less_and_have_the_same_gradients(clip):
    def kept_and_gradients(recomputed: bool):
        torch.manual_seed(3)
        layer = nn.ModuleList([LSTM(5, 7)])
        if recomputed:
            recompute_activations(layer)
        inputs, state = torch.randn(3, 6, 5, requires_grad=True), (torch.randn(3, 7), torch.randn(3, 7))
        kept = {}
        with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.setdefault(t.data_ptr(), t), lambda t: t):
            outputs, (hidden, cell) = layer[0](inputs, state, clip)
        loss = outputs.square().sum() + hidden.sum() + cell.sum()
        return sum(tensor.numel() for tensor in kept.values()), torch.autograd.grad(loss, [inputs, *layer.parameters()])

    plain, expected = kept_and_gradients(False)
    recomputed, gradients = kept_and_gradients(True)
    assert all(map(torch.equal, gradients, expected))
    assert recomputed == 3 * 6 * 5 < plain  # the inputs alone


def test_bidirectional_equals_packed_sequences():
    torch.manual_seed(2)
    ours = BidirectionalLSTM(4, 3)
    theirs = nn.LSTM(4, 3, batch_first=True, bidirectional=True)
    theirs.load_state_dict(
        {f"{name}": value for name, value in ours.forward_lstm.state_dict().items()}
        | {f"{name}_reverse": value for name, value in ours.backward_lstm.state_dict().items()}
    )
    lengths = torch.tensor([6, 1, 4])
    inputs = torch.randn(3, 6, 4, requires_grad=True)
    mask = torch.arange(6)[None] < lengths[:, None]
    packed, _ = theirs(pack_padded_sequence(inputs, lengths, batch_first=True, enforce_sorted=False))
    expected, _ = pad_packed_sequence(packed, batch_first=True)
    outputs = ours(inputs, lengths, NO_CLIP)
    torch.testing.assert_close(outputs[mask], expected[mask])
    weights = torch.randn_like(expected)[mask]
    gradients = [torch.autograd.grad((result[mask] * weights).sum(), inputs)[0] for result in (outputs, expected)]
    torch.testing.assert_close(*gradients)


def test_reversal_and_rotation():
    assert reversal(torch.tensor([3, 5, 1]), 5).tolist() == [[2, 1, 0, 4, 3], [4, 3, 2, 1, 0], [0, 4, 3, 2, 1]]
    assert rotation(torch.tensor([2, 0, -1]), 4).tolist() == [[2, 3, 0, 1], [0, 1, 2, 3], [3, 0, 1, 2]]


def test_permutation_and_its_gradient():
    inputs = torch.randn(2, 4, 3, dtype=torch.double, requires_grad=True)
    order, inverse = rotation(torch.tensor([1, 3]), 4), rotation(torch.tensor([-1, -3]), 4)
    expected = torch.stack([inputs[row, order[row]] for row in range(2)])
    torch.testing.assert_close(permute_positions(inputs, order, inverse), expected)
    torch.testing.assert_close(permute_positions(expected, inverse, order), inputs)
    assert torch.autograd.gradcheck(lambda x: permute_positions(x, order, inverse), (inputs,))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_bidirectional_on_cuda_equals_cpu():
    torch.manual_seed(2)
    layer, inputs, lengths = BidirectionalLSTM(8, 8), torch.randn(3, 6, 8), torch.tensor([6, 1, 4])
    expected = layer(inputs, lengths, NO_CLIP)
    torch.testing.assert_close(layer.cuda()(inputs.cuda(), lengths.cuda(), NO_CLIP).cpu(), expected, rtol=1e-4, atol=1e-4)
