"""Model folder: a trained model with everything required for translation, without pickles.

Files:
    config.json             sizes, languages, precision
    generation_config.json  default search options
    model.safetensors       weights; shared weights once
    tokenizer.json          type of the tokenizer, and its files (joint.spm, ...)
    vocab.json              tokens of the vocabulary, or of both vocabularies
    SHA256SUMS              checksums of all files
    README.md               model card
"""

from pathlib import Path
from typing import NamedTuple, Optional

import torch

from gnmt import __version__
from gnmt.checkpoints.model_config import MODEL_TYPE, GenerationConfig, ModelConfig, read_config, write_config
from gnmt.checkpoints.vocabulary_file import read_vocabularies, write_vocabularies
from gnmt.checkpoints.weights import read_weights, write_weights
from gnmt.errors import UserError
from gnmt.files.checksums import SUMS, check_folder_sums, write_folder_sums
from gnmt.files.json_objects import read_object
from gnmt.network.gnmt import GNMTNetwork
from gnmt.tokenizers.tokenizer import TokenizerPair, load_tokenizers, save_tokenizers, tokenizer_files
from gnmt.tokenizers.vocabulary import Vocabulary

CONFIG, GENERATION, WEIGHTS, VOCABULARY, CARD = (
    "config.json", "generation_config.json", "model.safetensors", "vocab.json", "README.md"
)  # fmt: skip


class Model(NamedTuple):
    """A model in memory, ready for inference."""

    network: GNMTNetwork
    config: ModelConfig
    generation: GenerationConfig
    source_vocabulary: Vocabulary
    target_vocabulary: Vocabulary
    tokenizers: TokenizerPair


class TokenizerFiles(NamedTuple):
    """Type of a tokenizer, a key of tokenizers.tokenizer.TOKENIZERS, and its files."""

    type: str
    source: Optional[Path] = None
    target: Optional[Path] = None


def is_model_folder(path: Path) -> bool:
    """Returns True if `path` contains a config.json of a GNMT model."""
    try:
        return read_object(path / CONFIG).get("model_type") == MODEL_TYPE
    except UserError:
        return False


def write_model_folder(
    path: Path,
    network: torch.nn.Module,
    config: ModelConfig,
    generation: GenerationConfig,
    source_vocabulary: Vocabulary,
    target_vocabulary: Vocabulary,
    tokenizer: TokenizerFiles,
    card: str,
) -> None:
    """Writes the files of a model into an existing, empty folder, the checksums last.

    Args:
        path: folder to write to.
        network: network in float32; stored in `config.precision`.
        config: configuration of the model.
        generation: default search options.
        source_vocabulary: source tokens.
        target_vocabulary: target tokens.
        tokenizer: type and files of the tokenizer.
        card: text of README.md, in Markdown.
    """
    write_config(path / CONFIG, config, {"model_type": MODEL_TYPE, "gnmt_version": __version__})
    write_config(path / GENERATION, generation, {})
    write_vocabularies(path / VOCABULARY, source_vocabulary, target_vocabulary)
    save_tokenizers(path, *tokenizer)
    write_weights(path / WEIGHTS, network, config.precision)
    (path / CARD).write_text(card, encoding="utf-8")
    write_folder_sums(path)


def read_model_folder(path: Path) -> Model:
    """Reads a model folder: checks checksums, then sizes, then loads the weights. Never unpickles.

    Raises:
        UserError: if the folder is missing, incomplete, damaged, or not a model folder.
    """
    if not path.is_dir():
        raise UserError(f"{path} is not a folder: name a model folder of `gnmt export`.")
    inner = path / "model"
    if not is_model_folder(path) and is_model_folder(inner):
        raise UserError(f"{path} is not a model folder, but {inner} is one: name that folder.")
    listed = check_folder_sums(path)
    if read_object(path / CONFIG).get("model_type") != MODEL_TYPE:
        raise UserError(f"{path / CONFIG} has no model_type {MODEL_TYPE!r}: name a model folder of `gnmt export`.")
    unlisted = {CONFIG, GENERATION, WEIGHTS, VOCABULARY, *tokenizer_files(path)} - listed
    if unlisted:
        raise UserError(f"{path / SUMS} lacks the checksum of {min(unlisted)}: copy the model folder again.")
    config = read_config(path / CONFIG, ModelConfig)
    source, target = read_vocabularies(path / VOCABULARY)
    for side, vocabulary, size in (
        ("source", source, config.source_vocab_size),
        ("target", target, config.target_vocab_size),
    ):
        if len(vocabulary) != size:
            raise UserError(f"{path / VOCABULARY} has {len(vocabulary)} {side} tokens, but config.json has {size}.")
    with torch.device("meta"):
        network = GNMTNetwork(config.network)
    read_weights(path / WEIGHTS, network)
    generation = read_config(path / GENERATION, GenerationConfig)
    return Model(network.prepare_for_inference(), config, generation, source, target, load_tokenizers(path))
