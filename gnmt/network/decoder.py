"""GNMT decoder: a stack of LSTMs. The bottom layer queries the attention, and all upper layers read the context.

`Decoder` adds embeddings and the output projection to `DecoderStack`. gnmt.inference.fast_decoder computes the same
step faster in decoding.

Shapes: B sentences, N rows (B in training; B x hypotheses or samples otherwise), T target positions, S source
positions, H hidden size, L layers, V vocabulary size.
"""

from functools import partial
from typing import List, NamedTuple, Optional, Tuple

import torch
from torch import Tensor, nn

from gnmt.network.attention import NormalizedBahdanauAttention, SourceMemory
from gnmt.network.clipping import ActivationClip
from gnmt.network.dropout import Dropout
from gnmt.network.encoder import EncoderOutput
from gnmt.network.lstm import LSTM, LSTMState
from gnmt.network.wavefront import Chunk, LayerFunction, UpperLayerPass, join_chunks, run_wavefront, split_chunks


class DecoderState(NamedTuple):
    """Recurrent state of N rows between two target positions."""

    hidden: Tuple[Tensor, ...]  # one per layer, (N, H)
    cell: Tuple[Tensor, ...]  # one per layer, (N, H)

    def reorder(self, rows: Tensor) -> "DecoderState":
        """Returns a state with the given rows.

        Args:
            rows: indices into this state, one per row of the result.
        """
        return DecoderState(*(tuple(layer.index_select(0, rows.to(layer.device)) for layer in part) for part in self))

    def join(self, others: "DecoderState") -> "DecoderState":
        """Returns the rows of this state followed by the rows of others."""
        return DecoderState(*(tuple(map(torch.cat, zip(*parts))) for parts in zip(self, others)))

    def join_sentences(self, others: "DecoderState", rows: int) -> "DecoderState":
        """Returns this state followed by the states of new sentences.

        Args:
            others: state of the new sentences, one row each.
            rows: number of rows per sentence in the result; the row of a new sentence is repeated.
        """
        repeated = DecoderState(*(tuple(layer.repeat_interleave(rows, dim=0) for layer in part) for part in others))
        return self.join(repeated)


class DecoderStack(nn.Module):
    """LSTM layers and attention of the decoder: maps embedded target tokens to features for the output projection.

    gnmt.inference.fast_decoder is a faster version for one position at a time.

    Args:
        hidden_size: hidden units H of all layers.
        num_layers: number of LSTM layers.
        dropout: dropout probability on the input of every layer.
        clip: limit of activations in quantisable training.
        query_previous_position: query the attention with the bottom layer's output at the previous position.
    """

    def __init__(
        self, hidden_size: int, num_layers: int, dropout: float, clip: ActivationClip, query_previous_position: bool
    ):
        super().__init__()
        self.clip = clip
        self.time_chunks = 1  # gnmt.network.placement sets it
        self.hidden_size = hidden_size
        self.query_previous_position = query_previous_position
        self.attention = NormalizedBahdanauAttention(hidden_size)
        self.query_lstm = LSTM(hidden_size, hidden_size)
        self.upper_lstms = nn.ModuleList(LSTM(2 * hidden_size, hidden_size) for _ in range(num_layers - 1))
        self.dropout = Dropout(dropout)

    def initial_state(self, memory: SourceMemory) -> DecoderState:
        """Returns zeros, one row per sentence: the decoder reads the source only through attention.

        Args:
            memory: encoded source sentences.
        """
        return self.zero_state(memory.values, len(memory.values))

    def zero_state(self, like: Tensor, rows: int) -> DecoderState:
        """Returns a state of zeros; each layer's part is on the device of its weights.

        Args:
            like: tensor of the type and device of the state.
            rows: number of rows N.
        """
        zeros = like.new_zeros(rows, self.hidden_size)
        layers = tuple(zeros.to(lstm.weight_hh_l0.device) for lstm in (self.query_lstm, *self.upper_lstms))
        return DecoderState(layers, layers)

    def forward(
        self, embedded: Tensor, memory: SourceMemory, state: DecoderState
    ) -> Tuple[Tensor, Tensor, DecoderState]:
        """Runs the bottom layer and the upper layers over T positions, one of them in `Decoder.step`.

        `Decoder.forward`, which training uses, calls `bottom_layer` and `upper_layers` itself.

        Args:
            embedded: (N, T, H); N is a multiple of B, and the rows of a sentence are adjacent.
            memory: encoded source sentences.
            state: state before the first position.

        Returns:
            Features (N, T, H), attention weights (N, T, S) and the final state. Weights sum to 1 over real source
            tokens.
        """
        bottom, final = self.bottom_layer(embedded, state)
        return self.upper_layers(bottom, final, memory, state)

    def bottom_layer(self, embedded: Tensor, state: DecoderState) -> Tuple[Tensor, LSTMState]:
        """Runs the bottom layer, which does not depend on the source.

        Args:
            embedded: (N, T, H).
            state: state before the first position.

        Returns:
            Outputs (N, T, H) of the layer and its final state.
        """
        outputs, final = self.query_lstm(self.dropout(self.clip(embedded)), (state.hidden[0], state.cell[0]), self.clip)
        return self.clip(outputs), final

    def upper_layers(
        self, bottom: Tensor, final: LSTMState, memory: SourceMemory, state: DecoderState
    ) -> Tuple[Tensor, Tensor, DecoderState]:
        """Runs the attention, then each upper layer; with several time chunks, in wavefront order.

        Args:
            bottom: outputs (N, T, H) of the bottom layer, from `bottom_layer`.
            final: final state of the bottom layer, from `bottom_layer`.
            memory: encoded source sentences.
            state: state before the first position.

        Returns:
            Features (N, T, H), attention weights (N, T, S) and the final state, as `forward` does.
        """
        length = bottom.size(1)
        upper = [
            UpperLayerPass(lstm, index, length, self.dropout, self.clip)
            for index, lstm in enumerate(self.upper_lstms, start=1)
        ]
        layers: List[LayerFunction] = [partial(self._attention_layer, memory), *upper]
        # The attention layer's state is the last query (N, H); the others are (hidden, cell).
        states = [self.clip(state.hidden[0]), *zip(state.hidden[1:], state.cell[1:])]
        chunks, finals = run_wavefront(layers, split_chunks(bottom, self.time_chunks), states)
        hidden, cell = zip(final, *finals[1:])
        features = join_chunks([chunk.features for chunk in chunks])
        weights = join_chunks([chunk.weights for chunk in chunks])
        return features, weights, DecoderState(hidden, cell)

    def _attention_layer(self, memory: SourceMemory, chunk: Chunk, last: Tensor) -> Tuple[Chunk, Tensor]:
        """Adds the context to a chunk.

        The query is the bottom layer's output at this position (NVIDIA) or at the previous one (Wu et al. 2016,
        section 3).

        Args:
            memory: encoded source sentences.
            chunk: outputs of the bottom layer.
            last: output (N, H) of the bottom layer at the position before the chunk.
        """
        outputs = chunk.features
        query = torch.cat([last[:, None], outputs[:, :-1]], dim=1) if self.query_previous_position else outputs
        context, weights = self._context_and_weights(query, memory)
        return chunk._replace(context=context, weights=weights), outputs[:, -1]

    def _context_and_weights(self, query: Tensor, memory: SourceMemory) -> Tuple[Tensor, Tensor]:
        rows, positions, _ = query.shape
        # Rows of one sentence are queries to the same memory, so they move to the query dimension.
        by_sentence = query.reshape(memory.values.size(0), -1, self.hidden_size)
        context, weights = self.attention(by_sentence, memory)
        return context.view(rows, positions, -1), weights.view(rows, positions, -1)


class Decoder(nn.Module):
    """Target embeddings, the decoder stack, and the output projection.

    A subclass with different layers sets `supports_fast_decoding` to False. gnmt.inference then calls its `step` directly,
    without faster copies and without int8.

    Args:
        embed_tokens: target embeddings.
        num_layers: number of LSTM layers.
        dropout: dropout probability on the input of every layer.
        clip: limit of activations in quantisable training.
        query_previous_position: query the attention with the bottom layer's output at the previous position.
    """

    supports_fast_decoding = True

    def __init__(
        self,
        embed_tokens: nn.Embedding,
        num_layers: int,
        dropout: float,
        clip: ActivationClip,
        query_previous_position: bool,
    ):
        super().__init__()
        hidden_size = embed_tokens.embedding_dim
        self.embed_tokens = embed_tokens
        self.stack = DecoderStack(hidden_size, num_layers, dropout, clip, query_previous_position)
        self.output_projection = nn.Linear(hidden_size, embed_tokens.num_embeddings)

    def precompute(self, encoder_out: EncoderOutput) -> SourceMemory:
        """Returns the source memory: projects the encoder outputs once for all target positions."""
        return self.stack.attention.precompute(*encoder_out)

    def initial_state(self, memory: SourceMemory) -> DecoderState:
        """Returns the state before the first token, one row per sentence."""
        return self.stack.initial_state(memory)

    def step(self, tokens: Tensor, memory: SourceMemory, state: DecoderState) -> Tuple[Tensor, Tensor, DecoderState]:
        """Advances one position.

        Args:
            tokens: (N,), last token of each row.
            memory: encoded source sentences.
            state: state of the N rows.

        Returns:
            Logits (N, V), attention weights (N, S) and the new state.
        """
        features, weights, state = self.stack(self.embed_tokens(tokens[:, None]), memory, state)
        return self.output_layer(features[:, 0]), weights[:, 0], state

    def forward(
        self, prev_output_tokens: Tensor, encoder_out: EncoderOutput, features_only: bool = False
    ) -> Tuple[Tensor, Tensor]:
        """Computes all target positions at once.

        Args:
            prev_output_tokens: (N, T); rows of the same sentence are adjacent.
            encoder_out: encoder outputs of the B sentences.
            features_only: return features, on the device of the output projection, instead of logits.

        Returns:
            Logits (N, T, V), or features (N, T, H), and attention weights (N, T, S).
        """
        embedded = self.embed_tokens(prev_output_tokens)
        state = self.stack.zero_state(embedded, len(embedded))
        # The bottom layer is first, because other devices may still be encoding the source.
        bottom, final = self.stack.bottom_layer(embedded, state)
        features, weights, _ = self.stack.upper_layers(bottom, final, self.precompute(encoder_out), state)
        if features_only:
            return features.to(self.output_projection.weight.device), weights
        return self.output_layer(features), weights

    @property
    def logit_limit(self) -> Optional[float]:
        """Limit of the logits' absolute values, for criteria that project features themselves."""
        return self.stack.clip.logit_limit

    def output_layer(self, features: Tensor) -> Tensor:
        """Projects features (N, T, H) to logits (N, T, V), which are on the device of the embeddings."""
        logits = self.output_projection(features.to(self.output_projection.weight.device))
        return self.stack.clip.clip_logits(logits).to(self.embed_tokens.weight.device)
