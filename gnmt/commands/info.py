"""Describes a model folder: languages, sizes, precision, search options and card.

Examples:

    gnmt info MODEL
    gnmt info MODEL --json
"""

import argparse
import dataclasses
import json
from pathlib import Path

from gnmt.checkpoints.model_folder import read_model_folder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of the command."""
    parser.add_argument("model", type=Path, help="model folder")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> None:
    """Runs the command."""
    model = read_model_folder(arguments.model)
    description = {
        **dataclasses.asdict(model.config),
        **dataclasses.asdict(model.generation),
        "parameters": sum(parameter.numel() for parameter in model.network.parameters()),
        "tokenizer": type(model.tokenizers.source).__name__,
        "bytes": sum(path.stat().st_size for path in arguments.model.iterdir()),
    }
    if arguments.json:
        print(json.dumps(description, ensure_ascii=False))
        return
    width = max(map(len, description))
    for name, value in description.items():
        print(f"{name.replace('_', ' '):<{width}}  {f'{value:,}' if type(value) is int else value}")
