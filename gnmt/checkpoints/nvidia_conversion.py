"""Conversion between checkpoints of NVIDIA's GNMT v2 and models in memory.

Only the parts for translation are converted, not the optimizer's state.
"""

from pathlib import Path
from typing import Dict

import torch
from torch import Tensor

from gnmt.checkpoints.fairseq_checkpoint import TrainedModel
from gnmt.checkpoints.model_config import GenerationConfig, ModelConfig
from gnmt.checkpoints.model_folder import Model
from gnmt.checkpoints.nvidia_checkpoint import NvidiaCheckpoint
from gnmt.checkpoints.nvidia_names import WORD_BY_WORD, our_names
from gnmt.checkpoints.nvidia_vocabulary import our_ids, our_vocabulary, their_symbols
from gnmt.errors import UserError
from gnmt.network.gnmt import GNMTNetwork
from gnmt.quantization.storage import to_floats
from gnmt.tokenizers.subword_codes import SubwordCodes


def from_nvidia(contents: NvidiaCheckpoint, path: Path, precision: str) -> TrainedModel:
    """Returns the model of NVIDIA's checkpoint, with NVIDIA's default search options.

    Args:
        contents: contents of NVIDIA's checkpoint.
        path: file, for errors.
        precision: precision of the stored weights.

    Raises:
        UserError: if the weights do not match their configuration.
    """
    vocabulary = our_vocabulary(contents.idx2tok, contents.vocabulary)
    config = our_config(contents, precision)
    weights = our_weights(contents, config, path)
    network = GNMTNetwork(config.network)
    network.load_state_dict({name: value.float() for name, value in weights.items()})
    return TrainedModel(network.prepare_for_inference(), config, GenerationConfig(), vocabulary, vocabulary, {})


def to_nvidia(model: Model, codes: SubwordCodes, separator: str, name: Path) -> NvidiaCheckpoint:
    """Returns the contents of NVIDIA's checkpoint for a model.

    Args:
        model: model with one vocabulary, trained with --nvidia-conventions.
        codes: merges of its subwords.
        separator: mark of word-internal subwords.
        name: name of the model, for errors.

    Raises:
        UserError: if NVIDIA's network cannot represent the model.
    """
    config = model.config
    _check_convertible(model, name)
    symbols = their_symbols(model.target_vocabulary)
    return NvidiaCheckpoint(
        weights=their_weights(dict(model.network.state_dict()), config.encoder_layers, config.share_embeddings),
        hidden_size=config.hidden_size,
        layers=config.encoder_layers,
        dropout=config.dropout,
        shared_embeddings=config.share_embeddings,
        vocabulary=len(symbols),
        idx2tok=dict(enumerate(symbols)),
        codes=codes,
        separator=separator,
        languages=(config.source_language, config.target_language),
    )


def _check_convertible(model: Model, name: Path) -> None:
    config = model.config
    reasons = {
        "it has another attention query": config.attention_query != "current",
        "its encoder and decoder have different numbers of layers": config.encoder_layers != config.decoder_layers,
        "it clips its activations": config.activation_clip is not None,
        "it was trained without --nvidia-conventions": not config.source_bos,
        "it has two vocabularies": model.source_vocabulary.tokens != model.target_vocabulary.tokens,
    }
    for reason, holds in reasons.items():
        if holds:
            raise UserError(f"{name} cannot be a checkpoint of NVIDIA's GNMT v2: {reason}.")


def our_config(contents: NvidiaCheckpoint, precision: str) -> ModelConfig:
    """Returns the configuration of the model of NVIDIA's checkpoint.

    Args:
        contents: contents of NVIDIA's checkpoint.
        precision: precision of the stored weights.
    """
    source, target = contents.languages
    return ModelConfig(
        contents.hidden_size, contents.layers, contents.layers, contents.vocabulary, contents.vocabulary, source, target,
        share_embeddings=contents.shared_embeddings, source_bos=True, dropout=float(contents.dropout),
        precision=precision,
    )  # fmt: skip


def our_weights(contents: NvidiaCheckpoint, config: ModelConfig, path: Path) -> Dict[str, Tensor]:
    """Returns NVIDIA's weights under this package's names, with vocabulary rows in this package's order.

    Args:
        contents: contents of NVIDIA's checkpoint.
        config: configuration of its model.
        path: file, for errors.

    Raises:
        UserError: if embeddings that should be shared differ, or names or shapes do not match.
    """
    names = our_names(contents.layers)
    with torch.device("meta"):
        built = GNMTNetwork(config.network).state_dict()
    check_weights(contents.weights, {name: built[ours].shape for name, ours in names.items()}, path)
    ids = our_ids(contents.vocabulary)
    weights = {}
    for name, ours in names.items():
        value = contents.weights[name]
        weights[ours] = torch.empty_like(value).index_copy_(0, ids, value) if name in WORD_BY_WORD else value
    encoder, decoder = (names[f"{side}.embedder.weight"] for side in ("encoder", "decoder"))
    if contents.shared_embeddings:
        if not weights[encoder].equal(weights[decoder]):
            raise UserError(f"{path} states that embeddings are shared, but the encoder's and the decoder's differ.")
        weights[decoder] = weights[encoder]  # stored once
    return weights


def check_weights(weights: Dict[str, Tensor], shapes: Dict[str, torch.Size], path: Path) -> None:
    """Checks names and shapes of weights.

    Args:
        weights: weights to check.
        shapes: required shapes by name.
        path: file, for errors.

    Raises:
        UserError: if they do not match.
    """
    for name, shape in shapes.items():
        if name not in weights:
            raise UserError(f"{path} lacks the weight {name} of {tuple(shape)}, which NVIDIA's GNMT v2 has.")
        if weights[name].shape != shape:
            raise UserError(
                f"{path} has {name} of {tuple(weights[name].shape)}, but its model_config requires {tuple(shape)}."
            )
    if unknown := sorted(set(weights) - set(shapes)):
        raise UserError(f"{path} has the weight {unknown[0]}, which NVIDIA's GNMT v2 does not have.")


def their_weights(ours: Dict[str, Tensor], layers: int, shared_embeddings: bool) -> Dict[str, Tensor]:
    """Returns weights of this package under NVIDIA's names, with vocabulary rows in NVIDIA's order.

    Args:
        ours: weights by this package's names.
        layers: number of encoder layers and of decoder layers.
        shared_embeddings: one embedding for source and target.
    """
    to_floats(ours)
    ids = our_ids(len(ours["decoder.output_projection.bias"]))
    weights = {}
    for name, our_name in our_names(layers).items():
        value = ours[our_name]
        weights[name] = value[ids] if name in WORD_BY_WORD else value
    if shared_embeddings:
        weights["decoder.embedder.weight"] = weights["encoder.embedder.weight"]  # stored once
    return weights
