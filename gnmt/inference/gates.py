"""The gates of the decoder's layers at a step of a search: W x + U h + b, with h of the hypothesis that a row continues.

Shapes: N rows, M rows of the step before, D of these that have children, I input size, H hidden size, V vocabulary.
"""
from functools import cached_property
from typing import Callable, List, Optional, Tuple

import torch
from torch import Tensor, nn

from gnmt.inference.packed_linear import PackedLinear, packs
from gnmt.inference.recurrence import MakeLinear, for_gates, gate_bias, gate_product
from gnmt.network.decoder import Decoder
from gnmt.network.lstm import LSTM

# Elements of hidden states (N, H) from which products take so much of the time that multiplying fewer rows pays: measured
# from 1 to 320 rows at widths of 256 to 1024.
SHARED_FROM = 100_000
TABLE_BYTES = 1 << 26  # larger tables are not worth their memory: they save 3 % of the time


class Parents:
    """Which rows of the step before the rows of this one continue."""

    def __init__(self, rows: Tensor):
        self.rows = rows  # (N,)

    @cached_property
    def distinct(self) -> Tuple[Tensor, Tensor]:
        """Those that have children (D,), each once, and where each row's parent is among them (N,)."""
        return self.rows.unique(return_inverse=True)


def sharing_pays(parents: Parents, hidden: Tensor) -> bool:
    """Whether to multiply the hidden states (M, H) once for the rows with the same parent."""
    return len(parents.rows) * hidden.size(1) >= SHARED_FROM


# Inputs (N, I) of a layer, or words (N,) for the bottom one, hidden states (M, H) and parents to gates (N, 4H), in the
# order and with the factor of recurrence.for_gates.
Gates = Callable[[Tensor, Tensor, Parents], Tensor]


def joined_gates(
    decoder: Decoder,
    make_linear: MakeLinear,
    embed_tokens: Optional[nn.Module] = None,
    clip: Optional[nn.Module] = None,
) -> List[Gates]:
    """Of all layers, the bottom one first. embed_tokens and clip are used in the place of the decoder's, if given."""
    stack = decoder.stack
    bottom = JoinedGates(stack.query_lstm, stack.hidden_size, make_linear)
    upper = [JoinedGates(lstm, stack.hidden_size, make_linear) for lstm in stack.upper_lstms]
    return [EmbeddedGates(embed_tokens or decoder.embed_tokens, clip or stack.clip, bottom), *upper]


def packed_gates(decoder: Decoder) -> List[Gates]:
    """Of all layers, the bottom one first, in float32 on a CPU: most weights twice, for few rows and for many."""
    stack, words = decoder.stack, decoder.embed_tokens

    def input_product(lstm: LSTM) -> PackedLinear:
        return PackedLinear(for_gates(lstm.weight_ih_l0[:, : stack.hidden_size]), gate_bias(lstm))

    of_words = DistinctWords(words, stack.clip, input_product(stack.query_lstm))
    split = [SplitGates(of_words, stack.query_lstm)]
    split += [SplitGates(input_product(lstm), lstm) for lstm in stack.upper_lstms]
    gates: List[Gates] = list(map(GatesByRows, joined_gates(decoder, PackedLinear), split))
    if words.num_embeddings * 4 * stack.hidden_size * words.weight.element_size() <= TABLE_BYTES:
        gates[0] = SplitGates(TabulatedWords(of_words), stack.query_lstm)
    return gates


class JoinedGates:
    """[W U] [x; h] + b, one product."""

    def __init__(self, lstm: LSTM, input_size: int, make_linear: MakeLinear):
        """Of the layer's inputs, the first `input_size` elements."""
        self.product = gate_product(lstm, input_size, make_linear)

    def __call__(self, inputs: Tensor, hidden: Tensor, parents: Parents) -> Tensor:
        return self.product(torch.cat([inputs, hidden.index_select(0, parents.rows)], dim=1))


class EmbeddedGates:
    """The bottom layer's, from words."""

    def __init__(self, embed_tokens: nn.Module, clip: nn.Module, gates: Gates):
        self.embed_tokens, self.clip, self.gates = embed_tokens, clip, gates

    def __call__(self, tokens: Tensor, hidden: Tensor, parents: Parents) -> Tensor:
        return self.gates(self.clip(self.embed_tokens(tokens)), hidden, parents)


class SplitGates:
    """(W x + b) + U h, where U h may be computed once for the rows that continue the same one.

    Of the rows of a beam of 5, about two thirds are continued.
    """

    def __init__(self, of_inputs: Callable[[Tensor], Tensor], lstm: LSTM):
        """of_inputs makes W x + b (N, 4H) of the inputs."""
        self.of_inputs = of_inputs
        self.hidden_product = PackedLinear(for_gates(lstm.weight_hh_l0))

    def __call__(self, inputs: Tensor, hidden: Tensor, parents: Parents) -> Tensor:
        if sharing_pays(parents, hidden):
            distinct, places = parents.distinct
            of_parents = self.hidden_product(hidden.index_select(0, distinct)).index_select(0, places)
        else:
            of_parents = self.hidden_product(hidden.index_select(0, parents.rows))
        return of_parents.add_(self.of_inputs(inputs))


class GatesByRows:
    """Joined gates for few rows, as one product reads its weights faster than two; split ones where rows share."""

    def __init__(self, joined: Gates, split: Gates):
        self.joined, self.split = joined, split

    def __call__(self, inputs: Tensor, hidden: Tensor, parents: Parents) -> Tensor:
        return (self.split if sharing_pays(parents, hidden) else self.joined)(inputs, hidden, parents)


class DistinctWords:
    """W x + b of words x, multiplied once for all the rows that say the same one."""

    def __init__(self, embed_tokens: nn.Embedding, clip: nn.Module, product: nn.Module):
        self.embed_tokens, self.clip, self.product = embed_tokens, clip, product

    def __call__(self, tokens: Tensor) -> Tensor:
        words, places = tokens.unique(return_inverse=True)
        return self.product(self.clip(self.embed_tokens(words))).index_select(0, places)


class TabulatedWords:
    """W x + b of every word x of the vocabulary, made once."""

    def __init__(self, of_words: DistinctWords):
        self.table = of_words(torch.arange(of_words.embed_tokens.num_embeddings)).detach()  # (V, 4H)

    def __call__(self, tokens: Tensor) -> Tensor:
        return self.table.index_select(0, tokens)
