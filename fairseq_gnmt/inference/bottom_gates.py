"""Gates of the decoder's bottom layer, whose input is nothing but the last word.

Shapes: N rows, H hidden size, V vocabulary.
"""
from typing import Callable

import torch
from torch import Tensor, nn

from fairseq_gnmt.inference.recurrence import MakeLinear, for_gates, gate_bias, gate_product
from fairseq_gnmt.models.decoder import GNMTDecoder
from fairseq_gnmt.models.lstm import LSTM

TABLE_BYTES = 1 << 26  # larger tables are not worth their memory: they save 3 % of the time

BottomGates = Callable[[Tensor, Tensor], Tensor]  # the last words (N,) and hidden state (N, H) to gates (N, 4H)


def bottom_gates(decoder: GNMTDecoder, make_linear: MakeLinear) -> BottomGates:
    """Looked up if the table is small: what a word adds to the gates is the same whenever it is said."""
    lstm, words = decoder.stack.query_lstm, decoder.embed_tokens
    size = words.num_embeddings * 4 * lstm.hidden_size * words.weight.element_size()
    kind = TabulatedGates if size <= TABLE_BYTES else ComputedGates
    return kind(lstm, words, decoder.stack.clip, make_linear)


class TabulatedGates:
    """W x of every word x of the vocabulary, made once."""

    def __init__(self, lstm: LSTM, embed_tokens: nn.Embedding, clip: nn.Module, make_linear: MakeLinear):
        word_product = make_linear(for_gates(lstm.weight_ih_l0), gate_bias(lstm))
        self.of_words = word_product(clip(embed_tokens.weight.detach()))  # (V, 4H)
        self.hidden_product = make_linear(for_gates(lstm.weight_hh_l0), None)

    def __call__(self, tokens: Tensor, hidden: Tensor) -> Tensor:
        return self.hidden_product(hidden).add_(self.of_words.index_select(0, tokens))


class ComputedGates:
    """[W U] [x; h] at every step."""

    def __init__(self, lstm: LSTM, embed_tokens: nn.Embedding, clip: nn.Module, make_linear: MakeLinear):
        self.embed_tokens, self.clip = embed_tokens, clip
        self.product = gate_product(lstm, lstm.input_size, make_linear)

    def __call__(self, tokens: Tensor, hidden: Tensor) -> Tensor:
        return self.product(torch.cat([self.clip(self.embed_tokens(tokens)), hidden], dim=1))
