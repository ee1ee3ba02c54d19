"""The encoder of int8 and bf16 decoding against the network's own encoder, with float products."""

import pytest
import torch

from gnmt.inference.fast_encoder import FastEncoder, packed_order
from gnmt.inference.packed_linear import PlainLinear
from gnmt.network.config import NetworkConfig
from gnmt.network.gnmt import GNMTNetwork

PAD = 1


def test_packed_order_of_three_sentences():
    """Sentences of 2, 3 and 1 tokens, the first padded on the left; indices are counted row by row."""
    padding_mask = torch.tensor([[1, 0, 0], [0, 0, 0], [0, 1, 1]]).bool()
    indices, mirrored, sizes = packed_order(padding_mask)
    # Longest sentence first: positions (row, column) of all first tokens, then second, then third tokens.
    assert indices.tolist() == [3, 1, 6, 4, 2, 5]
    assert sizes == [3, 2, 1]
    # First and last token of each sentence change places: 3 and 5 of the second sentence, 1 and 2 of the first.
    assert indices[mirrored].tolist() == [5, 2, 6, 4, 1, 3]


@torch.no_grad()
@pytest.mark.parametrize("encoder_layers", [2, 5])
@pytest.mark.parametrize(
    "rows",
    [
        [[4, 5, 6, 7, 2], [PAD, PAD, 8, 9, 2], [PAD, PAD, PAD, PAD, 2]],
        [[4, 2, PAD], [4, 5, 2], [2, PAD, PAD], [7, 8, 2], [PAD, PAD, PAD]],
        [[2]],
        [[PAD, PAD]],
    ],
    ids=["padded on the left", "padded on the right", "one token", "only padding"],
)
def test_equals_the_network_s_encoder(rows, encoder_layers):
    torch.manual_seed(2)
    network = GNMTNetwork(NetworkConfig(12, 12, hidden_size=8, encoder_layers=encoder_layers)).eval()
    for parameter in network.parameters():
        torch.nn.init.uniform_(parameter, -0.8, 0.8)
    src_tokens = torch.tensor(rows)
    expected, padding_mask = network.encoder(src_tokens)
    encoder = FastEncoder(network.encoder, PlainLinear, network.encoder.clip, network.encoder.embed_tokens)
    outputs, actual_mask = encoder(src_tokens)
    assert torch.equal(actual_mask, padding_mask)
    torch.testing.assert_close(outputs, expected.masked_fill(padding_mask[:, :, None], 0), rtol=1e-4, atol=1e-5)
