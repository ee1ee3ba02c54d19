"""Options with which commands load a translator."""

from pathlib import Path
from typing import Any, Dict

from gnmt.precision import PRECISION_HELP

MODEL_OPTIONS: Dict[str, Dict[str, Any]] = {
    "ensemble": {
        "type": Path,
        "action": "append",
        "default": [],
        "metavar": "MODEL",
        "help": "further model of the ensemble; repeatable",
    },
    "precision": {"metavar": "P", "help": PRECISION_HELP},
    "device": {"default": "cpu", "metavar": "D", "help": "torch device, such as cuda:0"},
    "threads": {"type": int, "metavar": "N", "help": "number of threads (default: torch's setting)"},
}


def add_model_options(parser: Any, *names: str) -> None:
    """Declares options of a command.

    Args:
        parser: argparse.ArgumentParser or a group of its options.
        names: names in MODEL_OPTIONS.
    """
    for name in names:
        parser.add_argument(f"--{name}", **MODEL_OPTIONS[name])
