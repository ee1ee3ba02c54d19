"""Weights in a checkpoint: finite, complete, and of the sizes that its configuration names."""

import re
from pathlib import Path
from typing import Any, Dict, List, Mapping, Union

import torch
from torch import Tensor

from gnmt.checkpoints.training_parts import WANTED
from gnmt.errors import UserError
from gnmt.quantization.storage import INTEGERS, SCALE

LAYERS = {
    "encoder_layers": re.compile(r"encoder\.upper_layers\.(\d+)\."),  # all but the first
    "decoder_layers": re.compile(r"decoder\.stack\.upper_lstms\.(\d+)\."),
}
EMBEDDING = "encoder.embed_tokens.weight"


def check_weights(weights: Dict[str, Any], path: Union[str, Path]) -> None:
    """Checks the weights.

    Args:
        weights: weights by name.
        path: file, for errors.

    Raises:
        UserError: for weights that are not finite, and for integers without scales.
    """
    if not weights:
        raise UserError(f"{path} has no weights in its model: {WANTED}")
    for name, value in weights.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise UserError(f"{path} has a {type(value).__name__} as its weight {name!s:.80}: {WANTED}")
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise UserError(
                f"{path} has numbers in the weight {name:.80} that are not finite: its training has diverged, or the "
                "file is damaged. Use an earlier checkpoint."
            )
    for name in weights:
        if name.endswith(INTEGERS):
            check_integers(name.removesuffix(INTEGERS), weights, path)


def check_integers(matrix: str, weights: Dict[str, Tensor], path: Union[str, Path]) -> None:
    """Checks an 8-bit matrix.

    Args:
        matrix: name of the matrix.
        weights: all weights.
        path: file, for errors.

    Raises:
        UserError: if its scales are missing or do not match its rows.
    """
    integers, scale = weights[matrix + INTEGERS], weights.get(matrix + SCALE)
    if scale is None:
        raise UserError(
            f"{path} has {matrix}{INTEGERS} without {matrix}{SCALE}: quantise the original checkpoint again."
        )
    rows = len(integers) if integers.dim() == 2 else 0
    blocks = scale.numel() // rows if rows else 0
    fits = blocks > 0 and blocks * rows == scale.numel() and integers.size(1) % blocks == 0
    if integers.dtype != torch.int8 or not scale.is_floating_point() or not fits or matrix in weights:
        raise UserError(
            f"{path} has {matrix}{INTEGERS} of {tuple(integers.shape)} and {matrix}{SCALE} of {tuple(scale.shape)}, "
            "which do not fit: quantise the original checkpoint again."
        )


def check_sizes(config: Dict[str, Any], weights: Dict[str, Tensor], path: Union[str, Path]) -> None:
    """Checks a network of this project: sizes in the configuration must match the weights.

    Args:
        config: options of the model.
        weights: all weights.
        path: file, for errors.

    Raises:
        UserError: if they do not match.
    """
    embedding = weights.get(EMBEDDING, weights.get(EMBEDDING + INTEGERS))
    if embedding is None or embedding.dim() != 2:
        raise UserError(f"{path} has no matrix as its weight {EMBEDDING}: {WANTED}")
    sizes = {"hidden_size": embedding.size(1)}
    for name, pattern in LAYERS.items():
        sizes[name] = 1 + len({match[1] for match in map(pattern.match, weights) if match})
    for name, size in sizes.items():
        if type(config.get(name, size)) is not int or config.get(name, size) != size:
            raise UserError(
                f"{path} has {config[name]!r:.50} as its cfg, model, {name}, but weights of {size}: "
                "use another checkpoint."
            )
    for name, value in weights.items():
        if not value.is_floating_point() and not name.endswith(INTEGERS):
            raise UserError(
                f"{path} has the weight {name:.80} of type {value.dtype}, but it must be of floats: {WANTED}"
            )


def check_foreign_sizes(config: Mapping[str, Any], weights: Dict[str, Tensor], path: Union[str, Path]) -> None:
    """Checks the sizes of fairseq's own architectures against the weights of the checkpoint.

    fairseq builds the whole network before it compares the weights. Options that a network does not use may differ from
    its weights, so only sizes that could exhaust the memory are refused.

    Args:
        config: options of the model.
        weights: all weights.
        path: file, for errors.

    Raises:
        UserError: if a size is far beyond the weights.
    """
    width = max((max(value.shape) for value in weights.values() if value.dim()), default=1)
    largest = {"_dim": max(8192, width), "_layers": max(256, len(weights)), "_heads": 1024, "_positions": 1 << 20}
    for name, size in config.items():
        limit = next((limit for ending, limit in largest.items() if str(name).endswith(ending)), None)
        if limit is not None and isinstance(size, (int, float)) and not size <= limit:
            raise UserError(
                f"{path} has {size!r:.50} as its cfg, model, {name}, but its weights are far smaller: "
                "use another checkpoint."
            )


def difference(expected: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> List[str]:
    """Returns descriptions of missing weights, and of weights that the network does not have.

    Args:
        expected: weights of the network.
        weights: weights of the checkpoint.
    """
    missing, unknown = (
        sorted(left.keys() - right.keys()) for left, right in ((expected, weights), (weights, expected))
    )
    differences = [f"lacks {some(missing)}"] if missing else []
    return differences + ([f"has {some(unknown)}, which the network does not have"] if unknown else [])


def some(names: List[str]) -> str:
    """Returns the first names of a list as text, and the number of the others."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more weights" if len(names) > 3 else "")
