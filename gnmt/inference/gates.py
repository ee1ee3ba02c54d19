"""The gates of the decoder's layers at a step of a search: W x + U h + b, with h of the hypothesis that a row continues.

Shapes: N rows, M rows of the step before, D of these that have children, I input size, H hidden size, V vocabulary.
"""
from functools import cached_property
from typing import Callable, List, Optional, Tuple

import torch
from torch import Tensor, nn

from gnmt.inference.packed_linear import PackedLinear, packs
from gnmt.inference.recurrence import MakeLinear, fused_gate_linear, gate_bias, with_doubled_candidate
from gnmt.network.decoder import Decoder
from gnmt.network.lstm import LSTM

# Elements of hidden states (N, H) from which products take so much of the time that multiplying fewer rows pays: measured
# from 1 to 320 rows at widths of 256 to 1024.
MIN_SHARED_ELEMENTS = 100_000
TABLE_BYTES = 1 << 26  # larger tables are not worth their memory: they save 3 % of the time


class RowParents:
    """Which rows of the step before the rows of this one continue."""

    def __init__(self, rows: Tensor):
        self.rows = rows  # (N,)

    @cached_property
    def distinct(self) -> Tuple[Tensor, Tensor]:
        """Those that have children (D,), each once, and where each row's parent is among them (N,)."""
        return self.rows.unique(return_inverse=True)


def should_share(parents: RowParents, hidden: Tensor) -> bool:
    """Whether to multiply the hidden states (M, H) once for the rows with the same parent."""
    return len(parents.rows) * hidden.size(1) >= MIN_SHARED_ELEMENTS


# Inputs (N, I) of a layer, or words (N,) for the bottom one, hidden states (M, H) and parents to gates (N, 4H), in the
# order and with the factor of recurrence.with_doubled_candidate.
GateProduct = Callable[[Tensor, Tensor, RowParents], Tensor]


def fused_gate_products(
    decoder: Decoder,
    make_linear: MakeLinear,
    embed_tokens: Optional[nn.Module] = None,
    clip: Optional[nn.Module] = None,
) -> List[GateProduct]:
    """Of all layers, the bottom one first. embed_tokens and clip are used in the place of the decoder's, if given."""
    stack = decoder.stack
    bottom = FusedGateProduct(stack.query_lstm, stack.hidden_size, make_linear)
    upper = [FusedGateProduct(lstm, stack.hidden_size, make_linear) for lstm in stack.upper_lstms]
    return [EmbeddingThenGates(embed_tokens or decoder.embed_tokens, clip or stack.clip, bottom), *upper]


def adaptive_gate_products(decoder: Decoder) -> List[GateProduct]:
    """Of all layers, the bottom one first, in float32 on a CPU: most weights twice, for few rows and for many."""
    stack, words = decoder.stack, decoder.embed_tokens

    def input_product(lstm: LSTM) -> PackedLinear:
        return PackedLinear(with_doubled_candidate(lstm.weight_ih_l0[:, : stack.hidden_size]), gate_bias(lstm))

    of_words = DeduplicatedEmbedding(words, stack.clip, input_product(stack.query_lstm))
    split = [SplitGateProduct(of_words, stack.query_lstm)]
    split += [SplitGateProduct(input_product(lstm), lstm) for lstm in stack.upper_lstms]
    gates: List[GateProduct] = list(map(AdaptiveGateProduct, fused_gate_products(decoder, PackedLinear), split))
    if words.num_embeddings * 4 * stack.hidden_size * words.weight.element_size() <= TABLE_BYTES:
        gates[0] = SplitGateProduct(EmbeddingTable(of_words), stack.query_lstm)
    return gates


class FusedGateProduct:
    """[W U] [x; h] + b, one product."""

    def __init__(self, lstm: LSTM, input_size: int, make_linear: MakeLinear):
        """Of the layer's inputs, the first `input_size` elements."""
        self.product = fused_gate_linear(lstm, input_size, make_linear)

    def __call__(self, inputs: Tensor, hidden: Tensor, parents: RowParents) -> Tensor:
        return self.product(torch.cat([inputs, hidden.index_select(0, parents.rows)], dim=1))


class EmbeddingThenGates:
    """The bottom layer's, from words."""

    def __init__(self, embed_tokens: nn.Module, clip: nn.Module, gates: GateProduct):
        self.embed_tokens, self.clip, self.gates = embed_tokens, clip, gates

    def __call__(self, tokens: Tensor, hidden: Tensor, parents: RowParents) -> Tensor:
        return self.gates(self.clip(self.embed_tokens(tokens)), hidden, parents)


class SplitGateProduct:
    """(W x + b) + U h, where U h may be computed once for the rows that continue the same one.

    Of the rows of a beam of 5, about two thirds are continued.
    """

    def __init__(self, of_inputs: Callable[[Tensor], Tensor], lstm: LSTM):
        """of_inputs makes W x + b (N, 4H) of the inputs."""
        self.of_inputs = of_inputs
        self.hidden_product = PackedLinear(with_doubled_candidate(lstm.weight_hh_l0))

    def __call__(self, inputs: Tensor, hidden: Tensor, parents: RowParents) -> Tensor:
        if should_share(parents, hidden):
            distinct, places = parents.distinct
            of_parents = self.hidden_product(hidden.index_select(0, distinct)).index_select(0, places)
        else:
            of_parents = self.hidden_product(hidden.index_select(0, parents.rows))
        return of_parents.add_(self.of_inputs(inputs))


class AdaptiveGateProduct:
    """Joined gates for few rows, as one product reads its weights faster than two; split ones where rows share."""

    def __init__(self, joined: GateProduct, split: GateProduct):
        self.joined, self.split = joined, split

    def __call__(self, inputs: Tensor, hidden: Tensor, parents: RowParents) -> Tensor:
        return (self.split if should_share(parents, hidden) else self.joined)(inputs, hidden, parents)


class DeduplicatedEmbedding:
    """W x + b of words x, multiplied once for all the rows that say the same one."""

    def __init__(self, embed_tokens: nn.Embedding, clip: nn.Module, product: nn.Module):
        self.embed_tokens, self.clip, self.product = embed_tokens, clip, product

    def __call__(self, tokens: Tensor) -> Tensor:
        words, places = tokens.unique(return_inverse=True)
        return self.product(self.clip(self.embed_tokens(words))).index_select(0, places)


class EmbeddingTable:
    """W x + b of every word x of the vocabulary, made once."""

    def __init__(self, of_words: DeduplicatedEmbedding):
        self.table = of_words(torch.arange(of_words.embed_tokens.num_embeddings)).detach()  # (V, 4H)

    def __call__(self, tokens: Tensor) -> Tensor:
        return self.table.index_select(0, tokens)
