"""The decoder for search: one position at a time, with nothing done at a step that can be done once a sentence.

Shapes: B sentences, N rows (B x hypotheses, those of a sentence together), M rows of the step before, S source positions,
H hidden size, L layers, V vocabulary.
"""
from typing import List, NamedTuple, Optional, Tuple, Union

import torch
from torch import Tensor, nn

from fairseq_gnmt.inference.gates import Gates, Parents
from fairseq_gnmt.inference.recurrence import MakeLinear, advance_cell, for_gates
from fairseq_gnmt.inference.reproducible_attention import ReproducibleAttention
from fairseq_gnmt.inference.step_attention import StepAttention
from fairseq_gnmt.models.activations import FAST, Activations
from fairseq_gnmt.models.attention import SourceMemory
from fairseq_gnmt.models.decoder import DecoderState, GNMTDecoder
from fairseq_gnmt.models.encoder import FIRST_RESIDUAL_LAYER, EncoderOutput


class StepState(NamedTuple):
    """What the step before left, unmoved: the next one picks out what each of its rows continues."""

    last: DecoderState  # of the M rows of that step
    parents: Tensor  # (N,), the one that each row of the next step continues

    def reorder(self, rows: Tensor) -> "StepState":
        """Row i of the result is row `rows[i]` of this state."""
        return self._replace(parents=self.parents.index_select(0, rows))


class StepDecoder:
    """Computes what GNMTDecoder.step computes, from a copy of its weights.

    What is rearranged in the layers' gates is in inference.gates. And the context enters the upper layers only through
    products W c, where c = sum_s a_s x_s: so the encoder's outputs x_s go through all those W once a sentence, and a step
    sums W x_s instead, for every hypothesis of the beam.
    """

    def __init__(
        self,
        decoder: GNMTDecoder,
        gates: List[Gates],
        make_linear: MakeLinear,
        clip: Optional[nn.Module] = None,
        attention: Union[StepAttention, ReproducibleAttention, None] = None,
        activations: Activations = FAST,
    ):
        """gates are the layers', made from the same decoder and clip; clip and attention replace the decoder's, if given."""
        stack = decoder.stack
        self.hidden_size = stack.hidden_size
        self.previous_query = stack.previous_query
        self.zero_state = stack.initial_state
        self.attention = attention or StepAttention(stack.attention)
        self.activations = activations
        self.clip = clip or stack.clip
        context_weights = [for_gates(lstm.weight_ih_l0[:, self.hidden_size :]) for lstm in stack.upper_lstms]
        self.context_product = make_linear(torch.cat(context_weights), None)
        self.gates = gates
        self.output_projection = make_linear(decoder.output_projection.weight, decoder.output_projection.bias)

    def remember(self, encoder_out: EncoderOutput) -> SourceMemory:
        """The values of the memory are W x_s of all upper layers, (B, S, (L - 1) 4H)."""
        return self.attention.remember(encoder_out, self.context_product)

    def initial_state(self, memory: SourceMemory) -> StepState:
        zeros = self.zero_state(memory)
        return StepState(zeros, torch.arange(zeros.hidden[0].size(0), device=memory.values.device))

    def step(self, tokens: Tensor, memory: SourceMemory, state: StepState) -> Tuple[Tensor, Tensor, StepState]:
        """tokens (N,), the last of each row. Returns logits (N, V), attention (N, S) and the new state."""
        rows, sentences = tokens.size(0), memory.values.size(0)
        parents = Parents(state.parents)
        last_hidden, last_cell = state.last

        gates = self.gates[0](tokens, last_hidden[0], parents)
        hidden, cell = advance_cell(gates, last_cell[0].index_select(0, state.parents), self.clip, self.activations)
        query = self.clip(hidden)
        asking = self.clip(last_hidden[0].index_select(0, state.parents)) if self.previous_query else query
        weights = self.attention.weights(asking.view(sentences, -1, self.hidden_size), memory)
        context_weights = self.attention.context_weights(weights)

        features, hiddens, cells = query, [hidden], [cell]
        layers = zip(self.gates[1:], memory.values.split(4 * self.hidden_size, dim=2))
        for layer, (gates_of, context_gates) in enumerate(layers, start=1):
            below = features
            gates = gates_of(below, last_hidden[layer], parents)
            self.attention.add_context(gates.view(sentences, -1, gates.size(1)), context_weights, context_gates)
            before = last_cell[layer].index_select(0, state.parents)
            hidden, cell = advance_cell(gates, before, self.clip, self.activations)
            features = self.clip(hidden + below if layer >= FIRST_RESIDUAL_LAYER else hidden)
            hiddens.append(hidden)
            cells.append(cell)
        logits = self.clip.clip_logits(self.output_projection(features))
        left = DecoderState(tuple(hiddens), tuple(cells))
        return logits, weights.view(rows, -1), StepState(left, torch.arange(rows, device=tokens.device))
