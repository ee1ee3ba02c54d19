"""The GNMT network (Wu et al. 2016, in the variant of NVIDIA's GNMT v2 by default).

Shapes: B sentences, S source positions, T target positions, V vocabulary size.
"""

import math
from typing import Callable, Tuple

from torch import Tensor, nn

from gnmt.network.clipping import ActivationClip
from gnmt.network.config import NetworkConfig
from gnmt.network.decoder import Decoder
from gnmt.network.encoder import Encoder
from gnmt.network.lstm import recompute_activations
from gnmt.network.placement import PlaceableNetwork


class GNMTNetwork(PlaceableNetwork):
    """Residual LSTM encoder and decoder with attention; all upper decoder layers read the context."""

    def __init__(self, config: NetworkConfig):
        super().__init__()
        self.config = config
        self.is_for_inference = False
        self.encoder, self.decoder = build_halves(config, Encoder, Decoder)
        initialize(self, config)

    def forward(self, src_tokens: Tensor, prev_output_tokens: Tensor) -> Tuple[Tensor, Tensor]:
        """Computes the logits of all target positions at once.

        Args:
            src_tokens: (B, S), padded on either side.
            prev_output_tokens: (B, T), the target shifted by one position, padded on the right.

        Returns:
            Logits (B, T, V) and attention weights (B, T, S).
        """
        return self.decoder(prev_output_tokens, self.encoder(src_tokens))

    def prepare_for_inference(self) -> "GNMTNetwork":
        """Switches to evaluation mode permanently: gnmt.inference caches faster copies of the weights."""
        self.is_for_inference = True
        return self.eval().requires_grad_(False)


def build_halves(
    config: NetworkConfig, make_encoder: Callable[..., Encoder], make_decoder: Callable[..., Decoder]
) -> Tuple[Encoder, Decoder]:
    """Builds encoder and decoder with shared embeddings, clipping and initial weights.

    Args:
        config: sizes and options of the network.
        make_encoder: constructor with the parameters of `Encoder`.
        make_decoder: constructor with the parameters of `Decoder`.
    """
    source_embedding = nn.Embedding(config.source_vocabulary_size, config.hidden_size, config.padding_index)
    target_embedding = source_embedding
    if not config.share_embeddings:
        target_embedding = nn.Embedding(config.target_vocabulary_size, config.hidden_size, config.padding_index)
    clip = ActivationClip(config.clip)
    query_previous_position = config.attention_query == "previous"
    encoder = make_encoder(source_embedding, config.encoder_layers, config.dropout, clip)
    decoder = make_decoder(target_embedding, config.decoder_layers, config.dropout, clip, query_previous_position)
    if config.tie_output:
        decoder.output_projection.weight = target_embedding.weight
    if config.checkpoint_activations:
        recompute_activations(encoder)
        recompute_activations(decoder)
    return encoder, decoder


def initialize(model: nn.Module, config: NetworkConfig) -> None:
    """Initialises weights uniformly as NVIDIA's GNMT v2 does; the second bias of each LSTM is zero.

    Args:
        model: network whose parameters are overwritten.
        config: options, of which `init_range` and `embedding_init_range` are used.
    """
    embedding_range = config.init_range if config.embedding_init_range is None else config.embedding_init_range
    for name, parameter in model.named_parameters():
        if name.endswith("bias_hh_l0") or name.endswith("score_bias"):
            nn.init.zeros_(parameter)
        elif name.endswith("score_scale"):
            nn.init.constant_(parameter, math.sqrt(1 / config.hidden_size))
        elif name.endswith("embed_tokens.weight"):
            nn.init.uniform_(parameter, -embedding_range, embedding_range)
        else:
            nn.init.uniform_(parameter, -config.init_range, config.init_range)
