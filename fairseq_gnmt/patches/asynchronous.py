"""Asynchronous training in fairseq-train, with a restart from the last checkpoint after the death of a server."""

import functools
import logging
from pathlib import Path
from types import ModuleType
from typing import Callable, Optional

from fairseq import checkpoint_utils
from omegaconf import DictConfig

from fairseq_gnmt.asynchronous.options import check_asynchronous_options, is_asynchronous
from fairseq_gnmt.asynchronous.ray_replicas import ServerLost
from fairseq_gnmt.asynchronous.ray_session import stop_ray
from fairseq_gnmt.patches.commands import before_main, loaded_modules
from gnmt.errors import UserError

logger = logging.getLogger(__name__)

MAX_LOSSES = 5  # maximum number of lost servers between two checkpoints


def enable_asynchronous_training() -> None:
    """Makes fairseq-train check the options of asynchronous training, and restart after the loss of a server.

    The trainer is chosen in fairseq_gnmt.patches.trainers.
    """
    before_main("train", check_asynchronous_options)
    for module in loaded_modules("train"):
        vars(module)["main"] = with_restarts(module, module.main)


def with_restarts(module: ModuleType, main: Callable[[DictConfig], None]) -> Callable[[DictConfig], None]:
    """Returns a `main` function of fairseq-train that restarts after the loss of a server.

    fairseq then resumes from its last checkpoint, as after any other interruption.

    Args:
        module: module of the command.
        main: its `main` function.
    """

    @functools.wraps(main)
    def run(cfg: DictConfig) -> None:
        if not is_asynchronous(cfg):
            return main(cfg)
        losses, last = 0, None
        while True:
            try:
                return main(cfg)
            except ServerLost as error:
                previous, last = last, _time_of_checkpoint(cfg)
                losses = losses + 1 if last == previous else 1
                if losses == MAX_LOSSES:
                    raise UserError(
                        f"{MAX_LOSSES} servers have died without a checkpoint in between: if the memory is not enough, "
                        "give more --parameter-servers or fewer replicas, or save with --save-interval-updates."
                    ) from error
                logger.warning("a server has died: the training continues from its last checkpoint")
            finally:
                stop_ray()
            for function in (module.should_stop_early, checkpoint_utils.save_checkpoint):
                vars(function).pop("best", None)  # fairseq stores the best metric in the function

    return run


def _time_of_checkpoint(cfg: DictConfig) -> Optional[int]:
    path = Path(cfg.checkpoint.save_dir, "checkpoint_last.pt")
    return path.stat().st_mtime_ns if path.exists() else None
