"""Tests the conversion of network options between config.json, checkpoints and the command line of fairseq-train.

Expected options are written by hand.
"""

import io
from pathlib import Path

import pytest
import torch
from model_folders import make_network

from gnmt.checkpoints.checkpoint_writing import write_checkpoint
from gnmt.checkpoints.fairseq_checkpoint import read_checkpoint
from gnmt.checkpoints.network_options import training_options
from gnmt.checkpoints.model_config import GenerationConfig, write_config
from gnmt.checkpoints.model_folder import Model
from gnmt.tokenizers.vocabulary import Vocabulary

TIED = {"tie_output_layer": True, "source_bos": True, "dropout": 0.25}
UNSHARED = {"share_embeddings": False}
CLIPPED = {"attention_query": "previous", "activation_clip": 1.5}

CONFIG = """{
  "model_type": "gnmt",
  "hidden_size": 16,
  "encoder_layers": 3,
  "decoder_layers": 3,
  "source_vocab_size": 14,
  "target_vocab_size": 14,
  "source_language": "en",
  "target_language": "de",
  "share_embeddings": %s,
  "tie_output_layer": %s,
  "attention_query": "%s",
  "activation_clip": %s,
  "source_bos": %s,
  "dropout": %s,
  "precision": "fp32"
}
"""
CONFIGS = [
    (TIED, CONFIG % ("true", "true", "current", "null", "true", 0.25)),
    (UNSHARED, CONFIG % ("false", "false", "current", "null", "false", 0.0)),
    (CLIPPED, CONFIG % ("true", "false", "previous", 1.5, "false", 0.0)),
]


@pytest.mark.parametrize("options, text", CONFIGS)
def test_config_json(options, text, tmp_path):
    write_config(tmp_path / "config.json", make_network(**options)[1], {"model_type": "gnmt"})
    assert (tmp_path / "config.json").read_text(encoding="utf-8") == text


SIZES = "{'_name': 'gnmt_v2', 'hidden_size': 16, 'encoder_layers': 3, 'decoder_layers': 3, "
CHECKPOINTS = [
    (
        TIED,
        SIZES + "'dropout': 0.25, 'no_share_embeddings': False, "
        "'share_decoder_input_output_embed': True, 'attention_query': 'current'}",
    ),
    (
        UNSHARED,
        SIZES + "'dropout': 0.0, 'no_share_embeddings': True, "
        "'share_decoder_input_output_embed': False, 'attention_query': 'current'}",
    ),
    (
        CLIPPED,
        SIZES + "'dropout': 0.0, 'no_share_embeddings': False, "
        "'share_decoder_input_output_embed': False, 'attention_query': 'previous', 'activation_clip': 1.5, "
        "'activation_clip_start': 1.5}",
    ),
]


@pytest.mark.parametrize("options, text", CHECKPOINTS)
def test_options_of_a_checkpoint(options, text, tmp_path):
    """The order of options is checked, too. Reading them returns the original configuration."""
    network, config = make_network(**options)
    words = [f"w{number}" for number in range(10)]
    for language in ("en", "de"):
        (tmp_path / f"dict.{language}.txt").write_text("".join(f"{word} 1\n" for word in words), encoding="utf-8")
    vocabulary = Vocabulary(words)
    model = Model(network, config, GenerationConfig(), vocabulary, vocabulary, None)
    file = io.BytesIO()
    write_checkpoint(model, tmp_path, file)
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(file.getvalue())
    assert str(torch.load(path, weights_only=False)["cfg"]["model"]) == text
    assert read_checkpoint(path, Path(tmp_path)).config == config


@pytest.mark.parametrize(
    "options, further",
    [
        (TIED, "--share-decoder-input-output-embed --nvidia-conventions"),
        (UNSHARED, "--no-share-embeddings"),
        (CLIPPED, "--attention-query previous --activation-clip 1.5 --activation-clip-start 1.5"),
    ],
)
def test_command_line_of_training(options, further):
    """Dropout is missing, because it is an option of training."""
    expected = "--task gnmt_translation --source-lang en --target-lang de --arch gnmt_v2 --hidden-size 16 "
    expected += f"--encoder-layers 3 --decoder-layers 3 {further}"
    assert sorted(training_options(make_network(**options)[1])) == sorted(expected.split())
