"""GNMT encoder: a bidirectional LSTM, then left-to-right LSTMs with residual connections.

Shapes: B sentences, S source positions, H hidden size.
"""

from typing import NamedTuple

from torch import Tensor, nn

from gnmt.network.clipping import ActivationClip
from gnmt.network.dropout import Dropout
from gnmt.network.lstm import LSTM, BidirectionalLSTM, permute_positions, rotation
from gnmt.network.wavefront import UpperLayerPass, join_chunks, run_wavefront, split_chunks


class EncoderOutput(NamedTuple):
    """Output vectors of the encoder for a batch of sentences."""

    outputs: Tensor  # (B, S, H), with the padding of the input
    padding_mask: Tensor  # (B, S), True at padding


class Encoder(nn.Module):
    """Maps source tokens to one output vector per position.

    Args:
        embed_tokens: source embeddings; their padding index is PAD.
        num_layers: number of LSTM layers, including the bidirectional one.
        dropout: dropout probability on the input of every layer.
        clip: limit of activations in quantisable training.
    """

    def __init__(self, embed_tokens: nn.Embedding, num_layers: int, dropout: float, clip: ActivationClip):
        super().__init__()
        self.pad = embed_tokens.padding_idx
        self.time_chunks = 1  # gnmt.network.placement sets it
        self.clip = clip
        hidden_size = embed_tokens.embedding_dim
        self.embed_tokens = embed_tokens
        self.dropout = Dropout(dropout)
        self.first_layer = BidirectionalLSTM(hidden_size, hidden_size)
        self.upper_layers = nn.ModuleList(
            LSTM(2 * hidden_size if layer == 1 else hidden_size, hidden_size) for layer in range(1, num_layers)
        )

    def forward(self, src_tokens: Tensor) -> EncoderOutput:
        """Encodes src_tokens (B, S), padded on either side; lengths are read off the padding."""
        padding_mask = src_tokens.eq(self.pad)
        size = src_tokens.size(1)
        leading = padding_mask.long().cumprod(dim=1).sum(dim=1)
        to_right_padded, back = rotation(leading, size), rotation(-leading, size)

        embedded = self.clip(self.embed_tokens(src_tokens.gather(1, to_right_padded)))
        features = self.clip(self.first_layer(self.dropout(embedded), (~padding_mask).sum(dim=1), self.clip))
        layers = [
            UpperLayerPass(lstm, index, size, self.dropout, self.clip)
            for index, lstm in enumerate(self.upper_layers, start=1)
        ]
        states = [lstm.zero_state(features) for lstm in self.upper_layers]
        chunks, _ = run_wavefront(layers, split_chunks(features, self.time_chunks), states)
        features = join_chunks([chunk.features for chunk in chunks]).to(padding_mask.device)
        return EncoderOutput(permute_positions(features, back, to_right_padded), padding_mask)
