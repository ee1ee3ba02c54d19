"""Options of asynchronous training, and checks of their combinations."""

import importlib.util

from omegaconf import DictConfig

from gnmt.errors import UserError
from gnmt.extras import remedy

OPTION = "--asynchronous-replicas"
OPTIMIZERS = ("gnmt_adam", "gnmt_adam_then_sgd")


def is_asynchronous(cfg: DictConfig) -> bool:
    """Returns True if a training run is asynchronous; `cfg` is its whole configuration."""
    return bool(cfg.task.get("asynchronous_replicas", 0))


def max_staleness(cfg: DictConfig) -> int:
    """Returns the maximum staleness of gradients.

    With N equally fast replicas the staleness is N - 1. The default allows one replica to be half as fast as the
    others.
    """
    maximum = cfg.task.max_staleness
    return 2 * (cfg.task.asynchronous_replicas - 1) if maximum is None else maximum


def check_asynchronous_options(cfg: DictConfig) -> None:
    """Checks the options of an asynchronous training.

    Raises:
        UserError: for an option that asynchronous training does not support.
    """
    if not is_asynchronous(cfg):
        return
    if importlib.util.find_spec("ray") is None:
        raise UserError(f"{OPTION} needs the package ray: {remedy('ray')}.")
    refused = {
        "--distributed-world-size": cfg.distributed_training.distributed_world_size > 1,
        "--use-bmuf": cfg.optimization.use_bmuf,
        "--fp16": cfg.common.fp16,
        "--bf16": cfg.common.bf16,
        "--store-ema": cfg.ema.store_ema,
    }
    for option, given in refused.items():
        if given:
            raise UserError(f"{option} cannot be combined with {OPTION}: leave one of them out.")
    if cfg.optimizer._name not in OPTIMIZERS:
        raise UserError(f"{OPTION} needs --optimizer {' or '.join(OPTIMIZERS)}, not {cfg.optimizer._name}.")
    replicas, maximum = cfg.task.asynchronous_replicas, max_staleness(cfg)
    if maximum < replicas - 1:
        raise UserError(
            f"--max-staleness {maximum} lets {maximum + 1} replicas work at a time, but there are {replicas}: give at least "
            f"{replicas - 1}, or fewer replicas."
        )
