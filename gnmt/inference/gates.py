"""Gate pre-activations W x + U h + b of the decoder's layers for one step of a search.

`h` is the hidden state of the hypothesis that a row continues. The computation depends on the arithmetic:

| arithmetic               | upper layers                          | bottom layer, from tokens                |
|--------------------------|---------------------------------------|------------------------------------------|
| float32 CPU, small batch | one product [W U] [x; h]              | table of W x + b, or one product         |
| float32 CPU, large batch | two products; U h once per parent     | table, or W x + b once per distinct token|
| int8 and bf16 CPU        | one product                           | embedding, then one product              |
| GPU, or no oneDNN        | one product                           | embedding, then one product              |

FusedGateProduct computes one product, SplitGateProduct two. AdaptiveGateProduct chooses at each step between the first
two rows above, by the size of the hidden states. EmbeddingTable holds W x + b of every token, and is used if it fits into
TABLE_BYTES. DeduplicatedEmbedding multiplies once per distinct token.

Linear layers are PackedLinear in float32 on a CPU, Int8Linear in int8, Bf16Linear in bf16 on a CPU, and PlainLinear on
a GPU. For a network in float32 on a CPU, all of them return float32: gates, cells, attention, softmax and scores are
float32 in every precision.

Shapes: N rows, M rows of the previous step, D distinct parents, I input size, H hidden size, V vocabulary size.
"""

from functools import cached_property
from typing import Callable, Iterator, List, Optional, Tuple

import torch
from torch import Tensor, nn

from gnmt.inference.gate_weights import GateWeights, gate_weights
from gnmt.inference.lstm import MakeLinear
from gnmt.inference.packed_linear import PackedLinear
from gnmt.network.clipping import Clip
from gnmt.network.decoder import Decoder, DecoderStack

# De-duplicating rows before the matmul is faster from this number of elements of the hidden states (N x H).
# Measured from 1 to 320 rows at widths of 256 to 1024.
MIN_SHARED_ELEMENTS = 100_000
TABLE_BYTES = 1 << 26  # a table saves about 3 % of the time, which does not justify more memory


class RowParents:
    """Row of the previous step that each row of this step continues."""

    def __init__(self, rows: Tensor):
        self.rows = rows  # (N,)

    @cached_property
    def distinct(self) -> Tuple[Tensor, Tensor]:
        """Returns the distinct parents (D,), and the index (N,) of each row's parent among them."""
        return self.rows.unique(return_inverse=True)


def should_share(parents: RowParents, hidden: Tensor) -> bool:
    """Returns True if multiplying each distinct parent once is faster than multiplying each row.

    Args:
        parents: parents of the N rows.
        hidden: hidden states (M, H) of the previous step.
    """
    return len(parents.rows) * hidden.size(1) >= MIN_SHARED_ELEMENTS


# Function of a layer's inputs (N, I), or tokens (N,) for the bottom layer, hidden states (M, H) and parents. Returns
# pre-activations (N, 4H), with the candidate doubled as in gnmt.inference.gate_weights.
GateProduct = Callable[[Tensor, Tensor, RowParents], Tensor]


def stack_weights(stack: DecoderStack) -> Iterator[GateWeights]:
    """Yields the weights of each layer, bottom first; one layer at a time is copied, to save memory."""
    for lstm in (stack.query_lstm, *stack.upper_lstms):
        yield gate_weights(lstm, stack.hidden_size)


def fused_gate_products(
    decoder: Decoder,
    make_linear: MakeLinear,
    embed_tokens: Optional[nn.Module] = None,
    clip: Optional[Clip] = None,
) -> List[GateProduct]:
    """Returns the products of all layers, bottom first, with one matmul each.

    Args:
        decoder: decoder whose weights are copied.
        make_linear: builds the linear layers, for example in int8.
        embed_tokens: replaces the decoder's embedding.
        clip: replaces the decoder's clip.
    """
    bottom, *upper = (FusedGateProduct(weights, make_linear) for weights in stack_weights(decoder.stack))
    return [EmbeddingThenGates(embed_tokens or decoder.embed_tokens, clip or decoder.stack.clip, bottom), *upper]


def adaptive_gate_products(decoder: Decoder) -> List[GateProduct]:
    """Returns the products of all layers, bottom first, for float32 on a CPU.

    Most weights are kept in two packed layouts, for small and for large batches.
    """
    stack, embedding = decoder.stack, decoder.embed_tokens
    layers = stack_weights(stack)
    bottom_weights = next(layers)
    deduplicated = DeduplicatedEmbedding(
        embedding, stack.clip, PackedLinear(bottom_weights.inputs, bottom_weights.bias)
    )
    fused = fused_gate_products(decoder, PackedLinear)
    if embedding.num_embeddings * 4 * stack.hidden_size * embedding.weight.element_size() <= TABLE_BYTES:
        bottom: GateProduct = SplitGateProduct(EmbeddingTable(deduplicated), bottom_weights)
    else:
        bottom = AdaptiveGateProduct(fused[0], SplitGateProduct(deduplicated, bottom_weights))
    upper = [
        AdaptiveGateProduct(product, SplitGateProduct(PackedLinear(weights.inputs, weights.bias), weights))
        for product, weights in zip(fused[1:], layers, strict=True)
    ]
    return [bottom, *upper]


class FusedGateProduct:
    """Computes [W U] [x; h] + b in one matmul, which is faster than two for small batches."""

    def __init__(self, weights: GateWeights, make_linear: MakeLinear):
        """Joins the weights of a layer.

        Args:
            weights: weights of the layer.
            make_linear: builds the linear layer.
        """
        self.linear = make_linear(torch.cat([weights.inputs, weights.hidden], dim=1), weights.bias)

    def __call__(self, inputs: Tensor, hidden: Tensor, parents: RowParents) -> Tensor:
        return self.linear(torch.cat([inputs, hidden.index_select(0, parents.rows)], dim=1))


class EmbeddingThenGates:
    """Product of the bottom layer from tokens: embeds them, then multiplies.

    Args:
        embed_tokens: embedding of tokens.
        clip: limit of the embeddings.
        gate_product: product with the weights of the gates.
    """

    def __init__(self, embed_tokens: nn.Module, clip: Clip, gate_product: GateProduct):
        self.embed_tokens, self.clip, self.gate_product = embed_tokens, clip, gate_product

    def __call__(self, tokens: Tensor, hidden: Tensor, parents: RowParents) -> Tensor:
        return self.gate_product(self.clip(self.embed_tokens(tokens)), hidden, parents)


class SplitGateProduct:
    """Computes (W x + b) + U h in two matmuls. In large batches, U h is computed once per distinct parent.

    With a beam of 5, only about two thirds of the rows of a step are parents of rows of the next step.
    """

    def __init__(self, input_product: Callable[[Tensor], Tensor], weights: GateWeights):
        """Packs the weights of the hidden state.

        Args:
            input_product: returns W x + b (N, 4H) from the inputs.
            weights: weights of the layer.
        """
        self.input_product = input_product
        self.hidden_product = PackedLinear(weights.hidden)

    def __call__(self, inputs: Tensor, hidden: Tensor, parents: RowParents) -> Tensor:
        if should_share(parents, hidden):
            distinct, positions = parents.distinct
            pre_activations = self.hidden_product(hidden.index_select(0, distinct)).index_select(0, positions)
        else:
            pre_activations = self.hidden_product(hidden.index_select(0, parents.rows))
        return pre_activations.add_(self.input_product(inputs))


class AdaptiveGateProduct:
    """Uses the fused product for small batches, and the split product with shared parents for large batches.

    Args:
        fused: product for small batches.
        split: product for large batches.
    """

    def __init__(self, fused: GateProduct, split: GateProduct):
        self.fused, self.split = fused, split

    def __call__(self, inputs: Tensor, hidden: Tensor, parents: RowParents) -> Tensor:
        return (self.split if should_share(parents, hidden) else self.fused)(inputs, hidden, parents)


class DeduplicatedEmbedding:
    """W x + b of tokens, multiplied once per distinct token.

    Args:
        embed_tokens: embedding of tokens.
        clip: limit of the embeddings.
        linear: W x + b.
    """

    def __init__(self, embed_tokens: nn.Embedding, clip: Clip, linear: nn.Module):
        self.embed_tokens, self.clip, self.linear = embed_tokens, clip, linear

    def __call__(self, tokens: Tensor) -> Tensor:
        distinct, positions = tokens.unique(return_inverse=True)
        return self.linear(self.clip(self.embed_tokens(distinct))).index_select(0, positions)


class EmbeddingTable:
    """W x + b of every token of the vocabulary, computed once."""

    def __init__(self, embedding: DeduplicatedEmbedding):
        self.table = embedding(torch.arange(embedding.embed_tokens.num_embeddings)).detach()  # (V, 4H)

    def __call__(self, tokens: Tensor) -> Tensor:
        return self.table.index_select(0, tokens)
