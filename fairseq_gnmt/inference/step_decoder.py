"""The decoder for search: one position at a time, with nothing done at a step that can be done once a sentence.

Shapes: B sentences, N rows (B x hypotheses, those of a sentence together), S source positions, H hidden size, L layers,
V vocabulary.
"""
from typing import Optional, Tuple

import torch
from torch import Tensor, nn

from fairseq_gnmt.inference.bottom_gates import BottomGates
from fairseq_gnmt.inference.recurrence import MakeLinear, advance_cell, for_gates, gate_product
from fairseq_gnmt.inference.step_attention import StepAttention
from fairseq_gnmt.models.attention import SourceMemory
from fairseq_gnmt.models.decoder import DecoderState, GNMTDecoder
from fairseq_gnmt.models.encoder import FIRST_RESIDUAL_LAYER, EncoderOutput


class StepDecoder:
    """Computes what GNMTDecoder.step computes, from a copy of its weights.

    Two things are rearranged. An upper LSTM's two products, with the layer below and with its hidden state, are one (what
    the bottom layer's input adds: inference.bottom_gates, made from the same decoder and clip). And the context
    enters the upper layers only through products W c, where c = sum_s a_s x_s: so the encoder's outputs x_s go through
    all those W once a sentence, and a step sums W x_s instead, for every hypothesis of the beam.
    """

    def __init__(
        self, decoder: GNMTDecoder, bottom_gates: BottomGates, make_linear: MakeLinear, clip: Optional[nn.Module] = None
    ):
        """clip is used in the place of the decoder's, if it is given."""
        stack = decoder.stack
        self.hidden_size = stack.hidden_size
        self.previous_query = stack.previous_query
        self.attention = StepAttention(stack.attention)
        self.clip = clip or stack.clip
        self.initial_state = stack.initial_state
        context_weights = [for_gates(lstm.weight_ih_l0[:, self.hidden_size :]) for lstm in stack.upper_lstms]
        self.context_product = make_linear(torch.cat(context_weights), None)
        self.bottom_gates = bottom_gates
        self.upper_products = [gate_product(lstm, self.hidden_size, make_linear) for lstm in stack.upper_lstms]
        self.output_projection = make_linear(decoder.output_projection.weight, decoder.output_projection.bias)

    def remember(self, encoder_out: EncoderOutput) -> SourceMemory:
        """The values of the memory are W x_s of all upper layers, (B, S, (L - 1) 4H)."""
        memory = self.attention.remember(*encoder_out)
        return memory._replace(values=self.context_product(memory.values))

    def step(
        self, tokens: Tensor, memory: SourceMemory, state: DecoderState
    ) -> Tuple[Tensor, Tensor, DecoderState]:
        """tokens (N,), the last of each row. Returns logits (N, V), attention (N, S) and the new state."""
        rows = tokens.size(0)
        hidden, cell = advance_cell(self.bottom_gates(tokens, state.hidden[0]), state.cell[0], self.clip)
        query = self.clip(hidden)
        asking = self.clip(state.hidden[0]) if self.previous_query else query
        sentences = memory.values.size(0)
        weights = self.attention.weights(asking.view(sentences, -1, self.hidden_size), memory)

        features, hiddens, cells = query, [hidden], [cell]
        layers = zip(self.upper_products, memory.values.split(4 * self.hidden_size, dim=2))
        for layer, (product, context_gates) in enumerate(layers, start=1):
            below = features
            gates = product(torch.cat([below, state.hidden[layer]], dim=1))
            gates.view(sentences, -1, gates.size(1)).baddbmm_(weights, context_gates)
            hidden, cell = advance_cell(gates, state.cell[layer], self.clip)
            features = self.clip(hidden + below if layer >= FIRST_RESIDUAL_LAYER else hidden)
            hiddens.append(hidden)
            cells.append(cell)
        logits = self.clip.clip_logits(self.output_projection(features))
        return logits, weights.view(rows, -1), DecoderState(tuple(hiddens), tuple(cells))
