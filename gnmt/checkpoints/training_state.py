"""Checkpoints of fairseq-train: every part is checked before anything is built from it."""

from argparse import Namespace
from pathlib import Path
from typing import Any, Dict, Union

from gnmt.checkpoints.reader import read
from gnmt.checkpoints.stored_configuration import check_config
from gnmt.checkpoints.stored_weights import check_foreign_sizes, check_sizes, check_weights
from gnmt.checkpoints.training_parts import check_parts

ARCHITECTURE = "gnmt"  # prefix of our architectures


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
