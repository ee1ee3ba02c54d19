"""Encoder for search in int8 and bf16: computes only real tokens of sentences with different lengths.

Tokens are in the order of `torch.nn.utils.rnn.PackedSequence`: the first tokens of all sentences, then all second tokens,
and so on. Longer sentences come first at each position, so the sentences that continue are always the first rows.

Shapes: B sentences, S source positions, N rows (real tokens of all sentences), H hidden size.
"""

from typing import List, NamedTuple

import torch
from torch import Tensor, nn

from gnmt.inference.lstm import InferenceLSTM, MakeLinear
from gnmt.network.clipping import Clip
from gnmt.network.encoder import Encoder, EncoderOutput
from gnmt.network.wavefront import FIRST_RESIDUAL_LAYER


class PackedOrder(NamedTuple):
    """Order of the real tokens of a padded batch."""

    indices: Tensor  # (N,), index of each token in the flattened batch (B x S)
    mirrored: Tensor  # (N,), index in this order of the token at the same distance from the end of the sentence
    sizes: List[int]  # number of sentences that have a token at each position


def packed_order(padding_mask: Tensor) -> PackedOrder:
    """Returns the order of the real tokens.

    Args:
        padding_mask: (B, S), True at padding, which is on either side of a sentence.
    """
    tokens = ~padding_mask
    lengths = tokens.sum(dim=1, keepdim=True)
    rank = lengths.argsort(dim=0, descending=True, stable=True).argsort(dim=0)
    positions = tokens.cumsum(dim=1) - 1
    keys, order = (positions * len(tokens) + rank)[tokens].sort()
    indices = tokens.flatten().nonzero()[:, 0][order]
    mirrored_keys = ((lengths - 1 - positions) * len(tokens) + rank)[tokens][order]
    sizes = positions[tokens].bincount().tolist()
    return PackedOrder(indices, torch.searchsorted(keys, mirrored_keys), sizes)


class FastEncoder:
    """Encoder with exchangeable linear layers.

    Args:
        encoder: encoder in evaluation mode, whose weights are copied.
        make_linear: builds the linear layers; a row of their results must not depend on the other rows.
        clip: replaces the encoder's clip.
        embed_tokens: replaces the encoder's embedding.
    """

    def __init__(self, encoder: Encoder, make_linear: MakeLinear, clip: Clip, embed_tokens: nn.Module):
        self.pad = encoder.pad
        self.clip = clip
        self.embed_tokens = embed_tokens
        first = encoder.first_layer
        self.forward_lstm = InferenceLSTM(first.forward_lstm, make_linear)
        self.backward_lstm = InferenceLSTM(first.backward_lstm, make_linear)
        self.upper_lstms = [InferenceLSTM(lstm, make_linear) for lstm in encoder.upper_layers]

    def __call__(self, src_tokens: Tensor) -> EncoderOutput:
        """Encodes src_tokens (B, S), padded on either side; the outputs are zero at padding."""
        padding_mask = src_tokens.eq(self.pad)
        indices, mirrored, sizes = packed_order(padding_mask)
        embedded = self.clip(self.embed_tokens(src_tokens.flatten()[indices]))
        forward = self.forward_lstm(embedded, sizes, self.clip)
        backward = self.backward_lstm(embedded[mirrored], sizes, self.clip)[mirrored]
        features = self.clip(torch.cat([forward, backward], dim=1))
        for layer, lstm in enumerate(self.upper_lstms, start=1):
            outputs = lstm(features, sizes, self.clip)
            features = self.clip(outputs.add_(features) if layer >= FIRST_RESIDUAL_LAYER else outputs)
        outputs = features.new_zeros(padding_mask.numel(), features.size(1))
        outputs[indices] = features
        return EncoderOutput(outputs.view(*padding_mask.shape, -1), padding_mask)
