"""Optimizer and learning rates of Wu et al. (2016, section 8.3): Adam first, then SGD with a rate that is halved."""

from dataclasses import dataclass, field
from typing import List

import torch
from fairseq.dataclass import FairseqDataclass
from fairseq.optim import register_optimizer
from fairseq.optim.lr_scheduler import FairseqLRScheduler, register_lr_scheduler
from omegaconf import II

from fairseq_gnmt.optim.adam import Float32Adam, GNMTAdam, GNMTAdamConfig, unscaled
from gnmt.errors import UserError
from gnmt.ranges import Range, check_ranges


@dataclass
class AdamThenSGDConfig(GNMTAdamConfig):
    """Options of the optimizer `gnmt_adam_then_sgd`."""

    adam_updates: int = field(
        default=60_000, metadata={"help": "number of updates with Adam; later updates use SGD", "range": Range(0)}
    )


class AdamThenSGD(Float32Adam):
    """Adam for the first updates, then SGD.

    The count of updates is in the first parameter group, so that checkpoints contain it.
    """

    def __init__(self, params, adam_updates: int, **adam_options):
        """Prepares Adam, with a count of its updates.

        Args:
            params: parameters, or parameter groups.
            adam_updates: number of updates with Adam.
            adam_options: options of Adam.
        """
        super().__init__(params, **adam_options)
        self.param_groups[0]["adam_updates"] = adam_updates
        self.param_groups[0]["updates"] = 0

    @torch.no_grad()
    def step(self, closure=None, scale: float = 1.0):
        first_group = self.param_groups[0]
        first_group["updates"] += 1
        if first_group["updates"] <= first_group["adam_updates"]:
            return super().step(closure, scale)
        self.state.clear()  # frees Adam's moments, twice the size of the model
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    exact = parameter.to(torch.promote_types(parameter.dtype, torch.float32))
                    gradient = unscaled(parameter.grad.type_as(exact), scale).add_(exact, alpha=group["weight_decay"])
                    parameter.copy_(exact - group["lr"] * gradient)
        return None


@register_optimizer("gnmt_adam_then_sgd", dataclass=AdamThenSGDConfig)
class GNMTAdamThenSGD(GNMTAdam):
    """fairseq's optimizer `gnmt_adam_then_sgd`."""

    def make_optimizer(self, params, **adam_options) -> torch.optim.Optimizer:
        check_ranges(AdamThenSGDConfig, self.cfg)
        return AdamThenSGD(params, **adam_options)

    @property
    def optimizer_config(self) -> dict:
        return {**super().optimizer_config, "adam_updates": self.cfg.adam_updates}


@dataclass
class AdamThenSGDRatesConfig(FairseqDataclass):
    """Options of the learning-rate schedule `gnmt_adam_then_sgd`."""

    sgd_lr: float = field(
        default=0.5,
        metadata={"help": "learning rate of SGD (Adam's is --lr; the paper: 2e-4)", "range": Range(0, 1_000)},
    )
    halving_from: int = field(
        default=1_200_000, metadata={"help": "update of the first halving of SGD's rate", "range": Range(0)}
    )
    halving_interval: int = field(default=200_000, metadata={"help": "updates between halvings", "range": Range(1)})
    halving_steps: int = field(default=4, metadata={"help": "number of halvings", "range": Range(0)})
    lr: List[float] = II("optimization.lr")


def halvings(update: int, halving_from: int, interval: int, steps: int) -> int:
    """Returns the number of halvings before an update.

    Args:
        update: number of the update.
        halving_from: update of the first halving.
        interval: number of updates between halvings.
        steps: maximum number of halvings.
    """
    return 0 if update < halving_from else min((update - halving_from) // interval + 1, steps)


@register_lr_scheduler("gnmt_adam_then_sgd", dataclass=AdamThenSGDRatesConfig)
class AdamThenSGDRates(FairseqLRScheduler):
    """fairseq's learning-rate schedule `gnmt_adam_then_sgd`.

    Args:
        cfg: options of the schedule.
        optimizer: optimizer whose learning rate is set.
    """

    def __init__(self, cfg: AdamThenSGDRatesConfig, optimizer):
        super().__init__(cfg, optimizer)
        if len(cfg.lr) != 1:
            raise UserError(f"gnmt_adam_then_sgd takes one --lr, Adam's, but got {list(cfg.lr)}.")
        if "adam_updates" not in optimizer.param_groups[0]:
            raise UserError("--lr-scheduler gnmt_adam_then_sgd requires --optimizer gnmt_adam_then_sgd.")
        self.adam_updates = optimizer.param_groups[0]["adam_updates"]
        check_ranges(AdamThenSGDRatesConfig, cfg)

    def step_update(self, num_updates: int) -> float:
        """Sets the rate of update `num_updates` + 1; fairseq calls this method after every update."""
        update, cfg = num_updates + 1, self.cfg
        rate = cfg.lr[0]
        if update > self.adam_updates:
            rate = cfg.sgd_lr * 0.5 ** halvings(update, cfg.halving_from, cfg.halving_interval, cfg.halving_steps)
        self.optimizer.set_lr(rate)
        return self.optimizer.get_lr()
