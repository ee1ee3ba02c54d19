"""NVIDIA's learning-rate schedule for GNMT: exponential warm-up, a plateau, then decay in steps."""

from dataclasses import dataclass, field
from typing import List, Optional

from fairseq.dataclass import FairseqDataclass
from fairseq.optim.lr_scheduler import FairseqLRScheduler, register_lr_scheduler
from omegaconf import II

from gnmt.errors import UserError
from gnmt.ranges import Range, check_ranges

WARMUP_START = 0.01  # first rate, as a fraction of the plateau


@dataclass
class WarmupStepDecayConfig(FairseqDataclass):
    """Options of the learning-rate schedule `gnmt_warmup_step_decay`."""

    warmup_steps: float = field(
        default=200,
        metadata={"help": "number of warm-up updates; below 1: fraction of --max-update", "range": Range(0)},
    )
    remain_steps: float = field(
        default=0.666,
        metadata={"help": "update at which decay starts; up to 1: fraction of --max-update", "range": Range(0)},
    )
    decay_interval: Optional[float] = field(
        default=None,
        metadata={
            "help": "number of updates between decays; below 1: fraction of --max-update (default: a quarter of the rest)",
            "range": Range(0),
        },
    )
    decay_steps: int = field(default=4, metadata={"help": "number of decays", "range": Range(1)})
    decay_factor: float = field(
        default=0.5, metadata={"help": "factor of the learning rate at each decay", "range": Range(0, 1, above=True)}
    )
    max_update: int = II("optimization.max_update")
    lr: List[float] = II("optimization.lr")


def warmup_step_decay(
    update: int, warmup: int, remain: int, interval: int, decay_steps: int, decay_factor: float
) -> float:
    """Returns the rate at an update as a fraction of the base rate.

    n <= W: 0.01 ** ((W - n) / W);   W < n < R: 1;   n >= R: factor ** min((n - R) // D + 1, steps)

    Args:
        update: n = 1, 2, ...
        warmup: W, number of warm-up updates.
        remain: R, update of the first decay.
        interval: D, number of updates between decays.
        decay_steps: maximum number of decays.
        decay_factor: factor of each decay.
    """
    if update <= warmup:
        return 1.0 if warmup == 0 else WARMUP_START ** ((warmup - update) / warmup)
    if update < remain:
        return 1.0
    return decay_factor ** min((update - remain) // interval + 1, decay_steps)


@register_lr_scheduler("gnmt_warmup_step_decay", dataclass=WarmupStepDecayConfig)
class WarmupStepDecay(FairseqLRScheduler):
    """fairseq's learning-rate schedule `gnmt_warmup_step_decay`.

    Args:
        cfg: options of the schedule.
        optimizer: optimizer whose learning rate is set.
    """

    def __init__(self, cfg: WarmupStepDecayConfig, optimizer):
        super().__init__(cfg, optimizer)
        if len(cfg.lr) != 1:
            raise UserError(f"gnmt_warmup_step_decay takes one --lr, but got {list(cfg.lr)}.")
        check_ranges(WarmupStepDecayConfig, cfg)
        total = cfg.max_update
        self.warmup = updates("warmup-steps", cfg.warmup_steps, total)
        self.remain = updates("remain-steps", cfg.remain_steps, total)
        self.warmup = min(self.warmup, self.remain)
        if cfg.decay_interval is not None:
            self.interval = max(updates("decay-interval", cfg.decay_interval, total), 1)
        else:
            self.interval = max((total_updates("decay-interval", total) - self.remain) // cfg.decay_steps, 1)

    def step_update(self, num_updates: int) -> float:
        """Sets the rate of update `num_updates` + 1; fairseq calls this method after every update."""
        rate = self.cfg.lr[0] * warmup_step_decay(
            num_updates + 1, self.warmup, self.remain, self.interval, self.cfg.decay_steps, self.cfg.decay_factor
        )
        self.optimizer.set_lr(rate)
        return self.optimizer.get_lr()


def updates(name: str, value: float, total: int) -> int:
    """Returns a number of updates from a number or a fraction of the total.

    Args:
        name: name of the option; 1 means the whole training for remain-steps, and one update for others.
        value: number of updates, or fraction of the total.
        total: number of updates of the training.
    """
    if value > 1 or value == 0 or (value == 1 and name != "remain-steps"):
        return int(value)
    return int(value * total_updates(name, total))


def total_updates(name: str, total: int) -> int:
    """Returns the number of updates of the training.

    Args:
        name: option that needs the number, for errors.
        total: --max-update; 0 means unknown.

    Raises:
        UserError: if the number is unknown.
    """
    if total <= 0:
        raise UserError(
            f"--{name} is relative to the length of the training, which is unknown: give --max-update (epochs x "
            "sentence pairs / sentences per update), or all of --warmup-steps, --remain-steps and --decay-interval "
            "as numbers of updates."
        )
    return total
