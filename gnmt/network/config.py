"""Sizes and options of a network."""
from dataclasses import dataclass
from typing import Optional

from gnmt.errors import UserError
from gnmt.network.clipping import ClipSchedule

LEAST = {"hidden_size": 1, "encoder_layers": 2, "decoder_layers": 2}
ATTENTION_QUERIES = ("current", "previous")


@dataclass(frozen=True)
class NetworkConfig:
    """Everything that a network is built from; the defaults are NVIDIA's GNMT v2.

    Args:
        source_vocabulary_size: number of source tokens, special ones included.
        target_vocabulary_size: number of target tokens, special ones included.
        padding_index: the PAD token, on both sides.
        hidden_size: width of embeddings, LSTMs and attention.
        encoder_layers: encoder layers, the bidirectional one included.
        decoder_layers: decoder layers, the one that queries the attention included.
        dropout: dropout probability on the input of every LSTM layer.
        share_embeddings: use one embedding for source and target; their vocabularies must have one size.
        tie_output: use the target embeddings as the weights of the output projection.
        attention_query: "current" queries the attention with the bottom layer's output at the same position (GNMT v2),
            "previous" with its output at the position before (Wu et al. 2016, section 3).
        clip: range of activations in quantisable training; None clips nothing.
        init_range: weights are initialised uniformly in -init_range..init_range.
        embedding_init_range: the same for embeddings; None means init_range.
        checkpoint_activations: LSTM layers run again during the backward pass instead of storing activations.

    Raises:
        UserError: if a number is out of its range.
    """

    source_vocabulary_size: int
    target_vocabulary_size: int
    padding_index: int = 1
    hidden_size: int = 1024
    encoder_layers: int = 4
    decoder_layers: int = 4
    dropout: float = 0.2
    share_embeddings: bool = True
    tie_output: bool = False
    attention_query: str = "current"
    clip: Optional[ClipSchedule] = None
    init_range: float = 0.1
    embedding_init_range: Optional[float] = None
    checkpoint_activations: bool = False

    def __post_init__(self):
        for name, least in LEAST.items():
            if getattr(self, name) < least:
                raise UserError(f"{_option(name)} is {getattr(self, name)}, but at least {least} is needed.")
        if not 0 <= self.dropout < 1:
            raise UserError(f"--dropout is {self.dropout}, but must be at least 0 and below 1.")
        for name in ("init_range", "embedding_init_range"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise UserError(f"{_option(name)} is {value}, but must be above 0 (NVIDIA: 0.1; the paper: 0.04).")
        if self.attention_query not in ATTENTION_QUERIES:
            raise UserError(f"--attention-query is {self.attention_query}, but must be one of {ATTENTION_QUERIES}.")
        if self.share_embeddings and self.source_vocabulary_size != self.target_vocabulary_size:
            raise UserError(
                f"Shared embeddings need one vocabulary, but the source has {self.source_vocabulary_size} tokens and "
                f"the target {self.target_vocabulary_size}: share none, or build a joint vocabulary."
            )


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
