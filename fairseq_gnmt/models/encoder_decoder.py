"""Encoder and decoder with fairseq's interfaces.

fairseq requires subclasses of FairseqEncoder and FairseqDecoder, and a wrapper would rename every parameter. The
classes therefore inherit from fairseq's classes and from gnmt's.

Shapes: B sentences, N rows (B, or B x hypotheses or samples), T target positions, S source positions, H hidden size,
V vocabulary size.
"""

from typing import Dict, List, Optional, Tuple

from fairseq.data import Dictionary
from fairseq.models import FairseqEncoder, FairseqIncrementalDecoder
from torch import Tensor, nn

from gnmt.network.attention import SourceMemory
from gnmt.network.clipping import ActivationClip
from gnmt.network.decoder import Decoder, DecoderState
from gnmt.network.encoder import Encoder, EncoderOutput

MAX_POSITIONS = 100_000  # an LSTM has no limit, but fairseq requires a number
CACHE = "gnmt"  # key of the incremental state


class _EncoderWithoutDictionary(FairseqEncoder):
    """fairseq's base class with a constructor without arguments, as required for a second base class."""

    def __init__(self):
        super().__init__(dictionary=None)


class GNMTEncoder(Encoder, _EncoderWithoutDictionary):
    """Encoder with the dictionary and the methods that fairseq requires.

    Args:
        dictionary: source dictionary.
        embed_tokens: source embeddings.
        num_layers: number of LSTM layers, including the bidirectional one.
        dropout: dropout probability on the input of every layer.
        clip: limit of activations in quantisable training.
    """

    def __init__(
        self, dictionary: Dictionary, embed_tokens: nn.Embedding, num_layers: int, dropout: float, clip: ActivationClip
    ):
        super().__init__(embed_tokens, num_layers, dropout, clip)
        self.dictionary = dictionary

    def forward(self, src_tokens: Tensor, src_lengths: Optional[Tensor] = None) -> EncoderOutput:
        """Encodes src_tokens (B, S), padded on either side.

        `src_lengths` is part of fairseq's interface and unused: lengths are read off the padding.
        """
        return super().forward(src_tokens)

    def reorder_encoder_out(self, encoder_out: EncoderOutput, new_order: Tensor) -> EncoderOutput:
        """Returns the encoder output of the given sentences.

        Args:
            encoder_out: encoder outputs of the B sentences.
            new_order: indices into `encoder_out`, one per sentence of the result.
        """
        return EncoderOutput(*(part.index_select(0, new_order) for part in encoder_out))

    def max_positions(self) -> int:
        return MAX_POSITIONS


class _DecoderWithoutDictionary(FairseqIncrementalDecoder):
    """fairseq's base class with a constructor without arguments, as required for a second base class."""

    def __init__(self):
        super().__init__(dictionary=None)


class GNMTDecoder(Decoder, _DecoderWithoutDictionary):
    """Decoder with the dictionary, and the incremental state of fairseq's own searches.

    Args:
        dictionary: target dictionary.
        embed_tokens: target embeddings.
        num_layers: number of LSTM layers.
        dropout: dropout probability on the input of every layer.
        clip: limit of activations in quantisable training.
        query_previous_position: query the attention with the bottom layer's output at the previous position.
    """

    def __init__(
        self,
        dictionary: Dictionary,
        embed_tokens: nn.Embedding,
        num_layers: int,
        dropout: float,
        clip: ActivationClip,
        query_previous_position: bool,
    ):
        super().__init__(embed_tokens, num_layers, dropout, clip, query_previous_position)
        self.dictionary = dictionary

    def forward(  # type: ignore[override]  # the signature of fairseq
        self,
        prev_output_tokens: Tensor,
        encoder_out: EncoderOutput,
        incremental_state: Optional[Dict[str, Dict[str, Optional[Tensor]]]] = None,
        features_only: bool = False,
    ) -> Tuple[Tensor, Dict[str, List[Tensor]]]:
        """Computes all target positions, or only the last one if an incremental state is given.

        Args:
            prev_output_tokens: (N, T); rows of the same sentence are adjacent.
            encoder_out: encoder outputs of the B sentences.
            incremental_state: cache of fairseq's own searches.
            features_only: return features instead of logits.

        Returns:
            Logits (N, T, V), or features (N, T, H), and {"attn": [weights (N, T, S)]}.
        """
        if incremental_state is None:
            outputs, weights = super().forward(prev_output_tokens, encoder_out, features_only)
        else:
            features, weights = self._step(prev_output_tokens[:, -1:], encoder_out, incremental_state)
            outputs = features if features_only else self.output_layer(features)
        return outputs, {"attn": [weights]}

    def max_positions(self) -> int:
        return MAX_POSITIONS

    def _step(self, tokens: Tensor, encoder_out: EncoderOutput, incremental_state) -> Tuple[Tensor, Tensor]:
        cached = self.get_incremental_state(incremental_state, CACHE)
        if cached is None:
            memory = self.precompute(encoder_out)
            state = self.stack.initial_state(memory)
        else:
            memory = SourceMemory(cached["keys"], *encoder_out)
            state = DecoderState(cached["hidden"], cached["cell"])
        features, weights, state = self.stack(self.embed_tokens(tokens), memory, state)
        self.set_incremental_state(
            incremental_state, CACHE, {"hidden": state.hidden, "cell": state.cell, "keys": memory.keys}
        )
        return features, weights

    def reorder_incremental_state(self, incremental_state, new_order: Tensor) -> None:
        """Replaces the cache of fairseq's own searches by the given rows of the cache.

        Args:
            incremental_state: cache, changed in place.
            new_order: indices into the cache, one per new row.
        """
        cached = self.get_incremental_state(incremental_state, CACHE)
        if cached is None:
            return
        state = DecoderState(cached["hidden"], cached["cell"]).reorder(new_order)
        keys = cached["keys"].index_select(0, new_order)
        self.set_incremental_state(incremental_state, CACHE, {"hidden": state.hidden, "cell": state.cell, "keys": keys})
