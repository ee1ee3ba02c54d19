"""Context of the decoder's upper layers.

The context c = sum_s a_s x_s of the encoder outputs x_s enters the upper layers only through products W c, where W are
their stacked weights. The two forms of a product are equal up to rounding:

| form                | computed once per sentence | computed in each step                       |
|---------------------|----------------------------|---------------------------------------------|
| sum_s a_s (W x_s)   | the products W x_s         | their weighted sum, which reads S x O values|
| W (sum_s a_s x_s)   | nothing                    | the sum, and one product per hypothesis     |

The first form is faster for short sources. The second form is faster for long sources in int8 and bf16, and keeps H
instead of O values per source position. Products in float32 take longer, so `FastContext` has only the first form.

Shapes: B sentences, Q rows of a sentence (its hypotheses), S source positions, H hidden size, L layers, O = (L - 1) x 4H.
"""

import math
from typing import NamedTuple, Optional, Protocol, Tuple

import torch
from torch import Tensor, nn

from gnmt.inference.gates import stack_weights
from gnmt.inference.lstm import MakeLinear
from gnmt.network.decoder import DecoderStack
from gnmt.network.encoder import EncoderOutput
from gnmt.quantization.fixed_point import round_values, round_weights

# Maximum source length of the first form in int8 and bf16. Measured at hidden size 1024, beam 5, with two threads: the
# second form is faster from about 30 (int8) or 45 (bf16) source positions with 32 sentences, from 75 with one sentence.
MAX_PRECOMPUTED = 48


class LayerContexts(NamedTuple):
    """Context products of a step, for all upper layers."""

    weights: Optional[Tensor]  # (B, Q, S), attention weights; None if the values are summed over the source
    values: Tuple[Tensor, ...]  # (B, S, 4H) for each upper layer; (B, Q, 4H) if they are summed


class ContextProducts(Protocol):
    """Products of the context with the weights of the upper layers."""

    # Maximum source length for which `values` returns products; for longer sources it returns encoder outputs.
    max_precomputed: float

    def values(self, encoded: EncoderOutput) -> Tensor:
        """Returns the values of the source memory, (B, S, O) or (B, S, H).

        Args:
            encoded: encoder outputs of sentences that are all longer than `max_precomputed`, or all not longer.
        """

    def of_step(self, weights: Tensor, values: Tensor) -> LayerContexts:
        """Returns the context products of a step.

        Args:
            weights: attention weights (B, Q, S).
            values: values of the source memory.
        """

    def add(self, pre_activations: Tensor, contexts: LayerContexts, layer: int) -> None:
        """Adds the context product of a layer to its pre-activations, in place.

        Args:
            pre_activations: (B, Q, 4H).
            contexts: context products of the step.
            layer: index of the layer among the upper layers.
        """


class FastContext:
    """Context in the precision of the network.

    Args:
        stack: layers of the decoder, whose weights are copied.
        make_linear: builds the linear layer.
    """

    max_precomputed = math.inf

    def __init__(self, stack: DecoderStack, make_linear: MakeLinear):
        self.product = _stacked_product(stack, make_linear)
        self.layer_size = 4 * stack.hidden_size

    def values(self, encoded: EncoderOutput) -> Tensor:
        """Returns the products (B, S, O) of all encoder outputs."""
        return self.product(encoded.outputs)

    def of_step(self, weights: Tensor, values: Tensor) -> LayerContexts:
        """Returns the weights and the products of each layer; `add` sums them."""
        return LayerContexts(weights, values.split(self.layer_size, dim=2))

    def add(self, pre_activations: Tensor, contexts: LayerContexts, layer: int) -> None:
        """Adds the context product of a layer to its pre-activations, in place."""
        pre_activations.baddbmm_(contexts.weights, contexts.values[layer])


class BatchInvariantContext:
    """Context of int8, and of bf16 on a CPU: a row does not depend on batch size, padding or number of threads.

    Weights and values are rounded, so that their sums are exact in float32.

    Args:
        stack: layers of the decoder, whose weights are copied.
        make_linear: builds the linear layer; a row of its results must not depend on the other rows.
    """

    max_precomputed: float = MAX_PRECOMPUTED

    def __init__(self, stack: DecoderStack, make_linear: MakeLinear):
        self.product = _stacked_product(stack, make_linear)
        self.hidden_size = stack.hidden_size

    def values(self, encoded: EncoderOutput) -> Tensor:
        """Returns rounded products (B, S, O), or rounded encoder outputs (B, S, H) of long sources; zero at padding."""
        outputs = encoded.outputs.masked_fill(encoded.padding_mask[:, :, None], 0)
        is_long = outputs.size(1) > self.max_precomputed
        return round_values(outputs if is_long else self.product(outputs))

    def of_step(self, weights: Tensor, values: Tensor) -> LayerContexts:
        """Returns rounded weights and the products of each layer, or the summed products of long sources."""
        rounded: Optional[Tensor] = round_weights(weights)
        if values.size(2) == self.hidden_size:
            rounded, values = None, self.product(torch.bmm(rounded, values))
        return LayerContexts(rounded, values.split(4 * self.hidden_size, dim=2))

    def add(self, pre_activations: Tensor, contexts: LayerContexts, layer: int) -> None:
        """Adds the context product of a layer to its pre-activations, in place."""
        products = contexts.values[layer]
        pre_activations.add_(products if contexts.weights is None else torch.bmm(contexts.weights, products))


def _stacked_product(stack: DecoderStack, make_linear: MakeLinear) -> nn.Module:
    """Returns a linear layer with the context weights of all upper layers, (O, H)."""
    _, *upper = (weights.context for weights in stack_weights(stack))
    return make_linear(torch.cat(upper), None)
