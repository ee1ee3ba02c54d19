"""Sizes and options of a network."""

from dataclasses import dataclass, field
from typing import Optional

from gnmt.errors import UserError
from gnmt.network.clipping import ClipSchedule
from gnmt.ranges import Range, check_ranges

SIZES, LAYERS, DROPOUT = Range(1, 100_000), Range(2, 1_000), Range(0, 1, below=True)
INITIAL_WEIGHTS = Range(0, 1_000, above=True, hint="NVIDIA: 0.1; the paper: 0.04")
ATTENTION_QUERIES = ("current", "previous")


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes and options of a network; the defaults are NVIDIA's GNMT v2.

    Args:
        source_vocabulary_size: number of source tokens, including special tokens.
        target_vocabulary_size: number of target tokens, including special tokens.
        padding_index: index of PAD in both vocabularies.
        hidden_size: hidden units H of embeddings, LSTMs and attention.
        encoder_layers: number of encoder layers, including the bidirectional one.
        decoder_layers: number of decoder layers, including the layer that queries the attention.
        dropout: dropout probability on the input of every LSTM layer.
        share_embeddings: use one embedding for source and target, which requires vocabularies of equal size.
        tie_output: use the target embeddings as the weights of the output projection.
        attention_query: position at which the bottom layer's output queries the attention. "current": the same
            position (GNMT v2); "previous": the position before (Wu et al. 2016, section 3).
        clip: schedule of the activation limit in quantisable training; None disables clipping.
        init_range: weights are initialised uniformly in -init_range..init_range.
        embedding_init_range: range of the initial embeddings; defaults to init_range.
        checkpoint_activations: recompute LSTM layers in the backward pass instead of storing their activations.

    Raises:
        UserError: if a number is out of its range.
    """

    source_vocabulary_size: int
    target_vocabulary_size: int
    padding_index: int = 1
    hidden_size: int = field(default=1024, metadata={"range": SIZES})
    encoder_layers: int = field(default=4, metadata={"range": LAYERS})
    decoder_layers: int = field(default=4, metadata={"range": LAYERS})
    dropout: float = field(default=0.2, metadata={"range": DROPOUT})
    share_embeddings: bool = True
    tie_output: bool = False
    attention_query: str = "current"
    clip: Optional[ClipSchedule] = None
    init_range: float = field(default=0.1, metadata={"range": INITIAL_WEIGHTS})
    embedding_init_range: Optional[float] = field(default=None, metadata={"range": INITIAL_WEIGHTS})
    checkpoint_activations: bool = False

    def __post_init__(self):
        check_ranges(NetworkConfig, self)
        if self.attention_query not in ATTENTION_QUERIES:
            raise UserError(f"--attention-query is {self.attention_query}, but must be one of {ATTENTION_QUERIES}.")
        if self.share_embeddings and self.source_vocabulary_size != self.target_vocabulary_size:
            raise UserError(
                f"Shared embeddings need one vocabulary, but the source has {self.source_vocabulary_size} tokens and "
                f"the target {self.target_vocabulary_size}: do not share embeddings, or build a joint vocabulary."
            )
