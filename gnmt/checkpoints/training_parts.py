"""Required parts of fairseq-train's checkpoints, and their types."""

from argparse import Namespace
from pathlib import Path
from typing import Any, Dict, Mapping, Union

from torch import Tensor

from gnmt.errors import UserError

MAX_TRAINING_SECONDS = 1e12  # seconds
WANTED = "name a checkpoint that fairseq-train has written."


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
    """Checks the position in the training data and the training time.

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
    seconds = extra.get("previous_training_time", 0.0)
    if isinstance(seconds, Tensor) and seconds.dim() == 0:  # summed over several processes
        seconds = seconds.item()
    if type(seconds) not in (int, float) or not 0 <= seconds < MAX_TRAINING_SECONDS:
        raise UserError(f"{path} has {seconds!r:.50} as its extra_state, previous_training_time: {WANTED}")
