"""Decoder for search: one position at a time, with all products that stay constant during a search precomputed.

Shapes: B sentences, N rows (B x hypotheses), M rows of the previous step, S source positions, H hidden size, L layers,
V vocabulary size. Rows of a sentence are adjacent.
"""

from typing import List, NamedTuple, Optional, Tuple

import torch
from torch import Tensor

from gnmt.inference.attention import InferenceAttention
from gnmt.inference.context import ContextProducts
from gnmt.inference.gates import GateProduct, RowParents
from gnmt.inference.grouped_memory import GroupedMemory, join_columns, split_by_length
from gnmt.inference.lstm import MakeLinear, lstm_cell_from_gates
from gnmt.network.activations import FAST, Activations
from gnmt.network.attention import SourceMemory
from gnmt.network.clipping import Clip
from gnmt.network.decoder import Decoder, DecoderState
from gnmt.network.encoder import EncoderOutput
from gnmt.network.wavefront import FIRST_RESIDUAL_LAYER


class FastDecoderState(NamedTuple):
    """State after the previous step, in the row order of that step.

    `reorder` changes only `parents`; the next step applies it.
    """

    last: DecoderState  # of the M rows of the previous step
    parents: Tensor  # (N,), maps each new row to the row that it continues

    def reorder(self, rows: Tensor) -> "FastDecoderState":
        """Returns a state with the given rows, without moving the previous step's state.

        Args:
            rows: indices into this state, one per row of the result.
        """
        return self._replace(parents=self.parents.index_select(0, rows))

    def join_sentences(self, others: "FastDecoderState", rows: int) -> "FastDecoderState":
        """Returns this state followed by the states of new sentences.

        Args:
            others: state of the new sentences, one row each.
            rows: number of rows per sentence in the result; the row of a new sentence is repeated.
        """
        new_parents = len(self.last.hidden[0]) + others.parents.repeat_interleave(rows)
        return FastDecoderState(self.last.join(others.last), torch.cat([self.parents, new_parents]))


class FastDecoder:
    """Faster version of `Decoder.step`.

    Some weights are copies, others share memory with the decoder. Therefore gnmt.inference.model builds a new
    FastDecoder when the decoder's weights change.

    Gate products are computed by gnmt.inference.gates, and products of the context by gnmt.inference.context.
    """

    def __init__(
        self,
        decoder: Decoder,
        gate_products: List[GateProduct],
        make_linear: MakeLinear,
        attention: InferenceAttention,
        context: ContextProducts,
        clip: Optional[Clip] = None,
        activations: Activations = FAST,
    ):
        """Prepares the weights of a decoder.

        Args:
            decoder: decoder in evaluation mode.
            gate_products: one per layer, bottom first, made from the same decoder and clip.
            make_linear: builds the output projection, for example in int8.
            attention: form of the decoder's attention.
            context: products of the context, made from the same decoder.
            clip: replaces the decoder's clip.
            activations: sigmoid and tanh of the LSTMs.
        """
        stack = decoder.stack
        self.query_previous_position = stack.query_previous_position
        self.zero_state = stack.zero_state
        self.attention = attention
        self.context = context
        self.activations = activations
        self.clip = clip or stack.clip
        self.gate_products = gate_products
        self.output_projection = make_linear(decoder.output_projection.weight, decoder.output_projection.bias)

    def precompute(self, encoder_out: EncoderOutput) -> GroupedMemory:
        """Projects the source once; returns keys for the attention and values for the context."""
        parts = split_by_length(encoder_out, self.context.max_precomputed)
        return GroupedMemory(tuple(map(self._memory, parts)))

    def _memory(self, encoded: EncoderOutput) -> SourceMemory:
        keys = self.attention.project_keys(encoded.outputs)
        return SourceMemory(keys, self.context.values(encoded), encoded.padding_mask)

    def initial_state(self, memory: GroupedMemory) -> FastDecoderState:
        """Returns the state before the first token, one row per sentence."""
        rows, values = memory.num_sentences, memory.groups[0].values
        return FastDecoderState(self.zero_state(values, rows), torch.arange(rows, device=values.device))

    def step(
        self, tokens: Tensor, memory: GroupedMemory, state: FastDecoderState
    ) -> Tuple[Tensor, Tensor, FastDecoderState]:
        """Advances one position.

        Args:
            tokens: (N,), last token of each row.
            memory: encoded source sentences.
            state: state of the N rows.

        Returns:
            Logits (N, V), attention weights (N, S) and the new state.
        """
        parents = RowParents(state.parents)
        last_hidden, last_cell = state.last

        pre_activations = self.gate_products[0](tokens, last_hidden[0], parents)
        cell = last_cell[0].index_select(0, parents.rows)
        hidden, cell = lstm_cell_from_gates(pre_activations, cell, self.clip, self.activations)
        query = self.clip(hidden)
        attention_query = (
            self.clip(last_hidden[0].index_select(0, parents.rows)) if self.query_previous_position else query
        )
        queries = memory.split_rows(self.attention.project_query(attention_query))
        weights = [
            self.attention.weights(group_queries, group.keys, group.padding_mask)
            for group_queries, group in zip(queries, memory.groups)
        ]
        contexts = [self.context.of_step(part, group.values) for part, group in zip(weights, memory.groups)]

        features, hiddens, cells = query, [hidden], [cell]
        for layer, gate_product in enumerate(self.gate_products[1:], start=1):
            below = features
            pre_activations = gate_product(below, last_hidden[layer], parents)
            for rows, context in zip(memory.split_rows(pre_activations), contexts):
                self.context.add(rows, context, layer - 1)
            cell = last_cell[layer].index_select(0, parents.rows)
            hidden, cell = lstm_cell_from_gates(pre_activations, cell, self.clip, self.activations)
            features = self.clip(hidden + below if layer >= FIRST_RESIDUAL_LAYER else hidden)
            hiddens.append(hidden)
            cells.append(cell)
        logits = self.clip.clip_logits(self.output_projection(features))
        new_state = DecoderState(tuple(hiddens), tuple(cells))
        new_parents = torch.arange(len(tokens), device=tokens.device)
        return logits, join_columns(weights), FastDecoderState(new_state, new_parents)
