"""Checks of the state from which a training run resumes.

torch accepts optimizer moments of any shape; its fused kernels then read and write outside their memory.
"""

import functools
from typing import Any, Dict

import torch
from fairseq.optim import FairseqOptimizer
from fairseq.trainer import Trainer
from torch import Tensor

from gnmt.errors import UserError

EXPLAINED_ELSEWHERE = "Cannot load model parameters"  # the checkpoint is of another network
REASON_LENGTH = 150  # characters


def check_state_when_resuming() -> None:
    """Makes fairseq check the state from which a training run resumes, and name the file in errors."""
    FairseqOptimizer.load_state_dict = with_moment_check(FairseqOptimizer.load_state_dict)
    Trainer.load_checkpoint = naming_file(Trainer.load_checkpoint)


def with_moment_check(load):
    """Returns fairseq's load_state_dict of optimizers with a check of the state."""

    @functools.wraps(load)
    def checked(self: FairseqOptimizer, state_dict: Dict[str, Any], optimizer_overrides: Any = None) -> None:
        if isinstance(self.optimizer, torch.optim.Adam):  # other optimizers may have moments of other shapes
            check_moments(self.optimizer, state_dict)
        load(self, state_dict, optimizer_overrides)

    return checked


def check_moments(optimizer: torch.optim.Adam, state: Dict[str, Any]) -> None:
    """Checks the state of an optimizer.

    Raises:
        ValueError: for moments with another shape than their parameter, and for options that are not numbers.
    """
    for group, stored_group in zip(optimizer.param_groups, state["param_groups"]):
        for name in group.keys() & stored_group.keys() - {"params"}:
            numbers = stored_group[name] if isinstance(group[name], tuple) else [stored_group[name]]
            if isinstance(group[name], (float, tuple)) and not all(type(number) in (int, float) for number in numbers):
                raise ValueError(f"its optimizer has {stored_group[name]!r:.50} as its {name}")
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    indices = [index for stored_group in state["param_groups"] for index in stored_group["params"]]
    for index, parameter in zip(indices, parameters):
        for name, value in state["state"].get(index, {}).items():
            size = value.shape if isinstance(value, Tensor) else () if type(value) in (int, float) else None
            if size != (() if name == "step" else parameter.shape):
                raise ValueError(f"its optimizer has a wrong {name} for the weight {index} of {tuple(parameter.shape)}")


def naming_file(load):
    """Returns the trainer's load_checkpoint with errors that name the file."""

    @functools.wraps(load)
    def explained(self: Trainer, filename: str, *args, **kwargs):
        try:
            return load(self, filename, *args, **kwargs)
        except (UserError, AssertionError):
            raise
        except Exception as error:
            if EXPLAINED_ELSEWHERE in str(error):
                raise
            message = f"it has no {error}" if isinstance(error, KeyError) else str(error) or type(error).__name__
            reason = message.splitlines()[0]
            raise UserError(
                f"Training cannot resume from {filename} ({reason[:REASON_LENGTH]}): use another "
                "checkpoint, or only its weights with --finetune-from-model."
            ) from error

    return explained
