"""Small model folders with random weights."""

from pathlib import Path

import torch

from gnmt.checkpoints.model_config import GenerationConfig, ModelConfig
from gnmt.checkpoints.model_folder import TokenizerFiles, write_model_folder
from gnmt.network.gnmt import GNMTNetwork
from gnmt.tokenizers.vocabulary import Vocabulary

WORDS = ("▁the", "▁dog", "▁cat", "▁sees", "▁runs", "s", ".", "▁a", ",", "▁and")
LINES = ("The dog sees the cat.", "", "A cat runs, and the dog sees.", "The cat")  # text of WORDS


def make_network(seed: int = 1, **options):
    """Returns a network with large random weights over WORDS, and its configuration."""
    size = 4 + len(WORDS)
    languages = {"source_language": "en", "target_language": "de"}
    config = ModelConfig(
        hidden_size=16, encoder_layers=3, decoder_layers=3, source_vocab_size=size, target_vocab_size=size,
        **{**languages, **options},
    )  # fmt: skip
    torch.manual_seed(seed)
    network = GNMTNetwork(config.network)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(5)
    return network, config


def make_model_folder(path: Path, seed: int = 1, **options) -> Path:
    """Writes a model folder of a random network whose tokens are words."""
    path.mkdir(parents=True)
    network, config = make_network(seed, **options)
    vocabulary = Vocabulary(WORDS)
    generation = GenerationConfig(max_len_b=12)
    write_model_folder(path, network, config, generation, vocabulary, vocabulary, TokenizerFiles("words"), "card\n")
    return path
