"""Describes a model folder: languages, sizes, tokenizer, precision and default search options.

    gnmt info MODEL
    gnmt info MODEL --json

--json prints all fields of config.json and generation_config.json.
"""

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Dict

from gnmt.checkpoints.model_folder import CARD, Model, read_model_folder

MEBIBYTE = 1 << 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of the command."""
    parser.add_argument("model", type=Path, help="model folder")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> None:
    """Runs the command."""
    folder: Path = arguments.model
    model = read_model_folder(folder)
    parameters = sum(parameter.numel() for parameter in model.network.parameters())
    size = sum(path.stat().st_size for path in folder.iterdir())
    tokenizer = type(model.tokenizers.source).__name__
    if arguments.json:
        configuration = {**dataclasses.asdict(model.config), **dataclasses.asdict(model.generation)}
        sizes = {"parameters": parameters, "tokenizer": tokenizer, "bytes": size}
        print(json.dumps({**configuration, **sizes}, ensure_ascii=False))
        return
    rows = {
        **_description(model),
        "tokenizer": tokenizer,
        "parameters": f"{parameters:,}",
        "stored in": f"{model.config.precision}, {size / MEBIBYTE:.1f} MiB",
    }
    if (folder / CARD).exists():
        rows["model card"] = str(folder / CARD)
    for name, value in rows.items():
        print(f"{name:<12}{value}")


def _description(model: Model) -> Dict[str, str]:
    """Returns languages, network, vocabulary and search options in words."""
    config, search = model.config, model.generation
    sizes = {f"{config.source_vocab_size:,}", f"{config.target_vocab_size:,}"}
    clip = "" if config.activation_clip is None else f"; activations clipped to {config.activation_clip:g}"
    length = f"{search.max_len_a:g} times the source length + " if search.max_len_a else ""
    return {
        "languages": f"{config.source_language} to {config.target_language}",
        "network": f"{config.encoder_layers} encoder and {config.decoder_layers} decoder layers, hidden size "
        f"{config.hidden_size:,}; attention queried by the {config.attention_query} position{clip}",
        "vocabulary": f"{config.source_vocab_size:,} tokens for both languages"
        if config.share_embeddings and len(sizes) == 1
        else f"{config.source_vocab_size:,} source and {config.target_vocab_size:,} target tokens",
        "search": f"beam {search.num_beams}, length norm factor {search.length_norm_factor:g} "
        f"(constant {search.length_norm_const:g}), coverage penalty {search.coverage_penalty:g}",
        "max. length": f"{length}{search.max_len_b} tokens of a translation",
    }
