"""Contents of fairseq-train's checkpoints: every part is checked before anything is built from it."""

import re
from argparse import Namespace
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Tuple, Union

import torch
from torch import Tensor

from gnmt.checkpoints.reader import read
from gnmt.errors import UserError

INTEGERS, SCALE = ".int8", ".scale"  # suffixes of a matrix in 8-bit integers and of its scales
ARCHITECTURE = "gnmt"  # prefix of our architectures
LAYERS = {
    "encoder_layers": re.compile(r"encoder\.upper_layers\.(\d+)\."),  # all but the first
    "decoder_layers": re.compile(r"decoder\.stack\.upper_lstms\.(\d+)\."),
}
EMBEDDING = "encoder.embed_tokens.weight"
READ_SECTIONS = (
    "model",
    "task",
    "bpe",
    "tokenizer",
    "scoring",
    "generation",
)  # sections with files that are opened for translation
URL = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]*://")
REFERENCE = re.compile(r"\$\{\.*[A-Za-z_]\w*(\.\w+)*\}")  # reference to another value of the configuration
WANTED = "name a checkpoint that fairseq-train has written."


def read_training_state(path: Union[str, Path]) -> Dict[str, Any]:
    """Returns a checkpoint of fairseq-train, with checked types of its parts and finite weights.

    Raises:
        UserError: if a part is invalid; the message names the file and the part.
    """
    state = read(path)
    check_parts(state, path)
    check_config(state.get("cfg"), path)
    check_config(state.get("args"), path)
    check_weights(state["model"], path)
    if architecture(state).startswith(ARCHITECTURE):
        if state.get("cfg") and isinstance(state["cfg"]["model"], dict):
            check_sizes(state["cfg"]["model"], state["model"], path)
    else:
        model = state["cfg"]["model"] if state.get("cfg") else state["args"]
        check_foreign_sizes(vars(model) if isinstance(model, Namespace) else model, state["model"], path)
    return state


def architecture(state: Dict[str, Any]) -> str:
    """Returns the name of the architecture in a checkpoint; empty if it is not a string."""
    model = state["cfg"]["model"] if state.get("cfg") else state["args"]
    name = model.get("_name") if isinstance(model, dict) else getattr(model, "arch", None)
    return name if isinstance(name, str) else ""


# -- parts


def check_parts(state: Any, path: Union[str, Path]) -> None:
    """Checks the parts of a checkpoint.

    Args:
        state: content of the checkpoint.
        path: file, for errors.

    Raises:
        UserError: for a part that is missing or of another type.
    """
    if not isinstance(state, dict):
        raise UserError(f"{path} holds a {type(state).__name__} instead of the parts of a checkpoint: {WANTED}")
    check_kind(state, "model", dict, path)
    if state.get("cfg") is None and not isinstance(state.get("args"), Namespace):
        raise UserError(f"{path} is not a checkpoint of fairseq-train: it has no cfg. Please {WANTED}")
    if state.get("cfg") is not None:
        check_kind(state, "cfg", dict, path)
        for section in ("model", "task"):
            check_kind(state["cfg"], section, (dict, Namespace), path, "cfg, ")
    if state.get("args") is not None:
        check_kind(state, "args", Namespace, path)
    if "epoch" not in state:  # before 2018
        check_kind(state, "extra_state", dict, path)
    if "task_state" in state:
        check_kind(state, "task_state", dict, path)
    for name in ("last_optimizer_state", "criterion"):
        if state.get(name) is not None:
            check_kind(state, name, dict, path)
    check_history(state, path)
    check_optimizer(state.get("last_optimizer_state"), path)
    check_progress(state.get("extra_state", {}), path)


def check_kind(state: Mapping, name: str, kind: Any, path: Union[str, Path], within: str = "") -> None:
    """Checks the type of an entry.

    Args:
        state: mapping with the entry.
        name: key of the entry.
        kind: required type.
        path: file, for errors.
        within: name of the mapping in errors.

    Raises:
        UserError: if the entry is missing or of another type.
    """
    if name not in state:
        raise UserError(f"{path} is not a checkpoint of fairseq-train: it has no {within}{name}. Please {WANTED}")
    if not isinstance(state[name], kind):
        raise UserError(f"{path} has a {type(state[name]).__name__} as its {within}{name}: {WANTED}")


def check_history(state: Dict[str, Any], path: Union[str, Path]) -> None:
    """Checks optimizer_history, which contains the number of updates.

    Args:
        state: content of the checkpoint.
        path: file, for errors.

    Raises:
        UserError: if it is invalid.
    """
    history = state.get("optimizer_history")
    if history is None and "best_loss" in state:  # before 2018
        return
    if not isinstance(history, list) or not history or not all(isinstance(entry, dict) for entry in history):
        raise UserError(f"{path} has no list of optimizers as its optimizer_history: {WANTED}")
    kinds: Dict[str, Any] = {
        "criterion_name": str,
        "optimizer_name": str,
        "lr_scheduler_state": dict,
        "num_updates": int,
    }
    for name, kind in kinds.items():
        value = history[-1].get(name, kind())
        if not isinstance(value, kind) or (kind is int and value < 0):
            raise UserError(f"{path} has {value!r:.50} as its optimizer_history, {name}: {WANTED}")


def check_optimizer(optimizer: Any, path: Union[str, Path]) -> None:
    """Checks the parts of the optimizer's state that fairseq reads.

    Args:
        optimizer: last_optimizer_state of the checkpoint.
        path: file, for errors.

    Raises:
        UserError: if a part is missing.
    """
    if optimizer is None:
        return
    groups, moments = optimizer.get("param_groups"), optimizer.get("state")
    if not isinstance(groups, list) or not all(isinstance(group, dict) for group in groups):
        raise UserError(f"{path} has no list as its last_optimizer_state, param_groups: {WANTED}")
    if not isinstance(moments, dict) or not all(isinstance(moment, dict) for moment in moments.values()):
        raise UserError(f"{path} has no tables as its last_optimizer_state, state: {WANTED}")


def check_progress(extra: Dict[str, Any], path: Union[str, Path]) -> None:
    """Checks the position in the training data.

    Args:
        extra: extra_state of the checkpoint.
        path: file, for errors.

    Raises:
        UserError: if it is invalid.
    """
    iterator = extra.get("train_iterator", {})
    if not isinstance(iterator, dict):
        raise UserError(f"{path} has a {type(iterator).__name__} as its extra_state, train_iterator: {WANTED}")
    for name in ("epoch", "iterations_in_epoch"):
        if type(iterator.get(name, 0)) is not int or iterator.get(name, 0) < 0:
            raise UserError(f"{path} has {iterator[name]!r:.50} as its extra_state, train_iterator, {name}: {WANTED}")


# -- configuration


def check_config(config: Any, path: Union[str, Path]) -> None:
    """Checks a configuration for references to values outside the checkpoint, such as ${oc.env:HOME}.

    Args:
        config: stored configuration.
        path: file, for errors.

    Raises:
        UserError: if there is a reference.
    """
    for keys, value in texts(config):
        if "${" in REFERENCE.sub("", value):
            raise UserError(
                f"{path} has {value!r:.80} as its cfg, {', '.join(keys)}: the configuration of a checkpoint is not "
                "looked up elsewhere. Give the option on the command line, or use another checkpoint."
            )


def check_no_urls(config: Mapping[str, Any], given: Mapping[str, Any], path: Union[str, Path]) -> None:
    """Checks a configuration for URLs.

    Args:
        config: stored configuration.
        given: options that replace stored options; they are not checked.
        path: file, for errors.

    Raises:
        UserError: if there is a URL.
    """
    for section in READ_SECTIONS:
        for keys, value in texts(config.get(section)):
            if URL.match(value) and keys[-1] not in given:
                raise UserError(
                    f"{path} has {value!r:.80} as its cfg, {section}, {', '.join(keys)}, and nothing that a checkpoint "
                    "names is fetched from the network: fetch it, and give its file."
                )


def texts(config: Any, keys: Tuple[str, ...] = ()) -> Iterator[Tuple[Tuple[str, ...], str]]:
    """Yields the strings of a configuration, including keys, each with the path of its keys.

    Args:
        config: configuration, or a part of one.
        keys: path of the part; empty for a whole configuration.
    """
    if isinstance(config, str):
        yield keys or ("",), config
    elif isinstance(config, Namespace):
        yield from texts(vars(config), keys)
    elif isinstance(config, dict):
        for key, value in config.items():
            yield from texts(value, (*keys, str(key)))
            yield (*keys, str(key)), str(key)
    elif isinstance(config, (list, tuple)):
        for value in config:
            yield from texts(value, keys)


# -- weights


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
                f"{path} has the weight {name:.80}, not all of which are finite numbers: its training has diverged, or "
                "the file is damaged. Use an earlier checkpoint."
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
    missing, unknown = (sorted(one.keys() - other.keys()) for one, other in ((expected, weights), (weights, expected)))
    found = [f"lacks {some(missing)}"] if missing else []
    return found + ([f"has {some(unknown)}, which the network does not have"] if unknown else [])


def some(names: List[str]) -> str:
    """Returns the first names of a list as text, and the number of the others."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more weights" if len(names) > 3 else "")
