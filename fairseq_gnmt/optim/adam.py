"""torch's fused Adam: one pass over the parameters, where fairseq's own makes several per tensor."""
from dataclasses import dataclass, field
from typing import Any, List

import torch
from fairseq.dataclass import FairseqDataclass
from fairseq.optim import FairseqOptimizer, register_optimizer
from omegaconf import II

from fairseq_gnmt.errors import UserError
from gnmt.ranges import Range, check_ranges


@dataclass
class GNMTAdamConfig(FairseqDataclass):
    adam_betas: Any = field(default="(0.9, 0.999)", metadata={"help": "decay of the two moments"})
    adam_eps: float = field(default=1e-8, metadata={"help": "added to the denominator", "range": Range(0, 1_000)})
    weight_decay: float = field(
        default=0.0, metadata={"help": "L2 penalty, added to the gradient", "range": Range(0, 1_000)}
    )
    lr: List[float] = II("optimization.lr")


@register_optimizer("gnmt_adam", dataclass=GNMTAdamConfig)
class GNMTAdam(FairseqOptimizer):
    """Adam (Kingma and Ba 2015) as in torch.optim.Adam(fused=True), on CPU and CUDA."""

    def __init__(self, cfg: GNMTAdamConfig, params):
        super().__init__(cfg)
        check_ranges(GNMTAdamConfig, cfg)
        Range(0, 1_000).check("lr", cfg.lr[0])
        self._optimizer = self.make_optimizer(params, **self.optimizer_config, fused=True)

    def make_optimizer(self, params, **adam_options) -> torch.optim.Optimizer:
        return torch.optim.Adam(params, **adam_options)

    @property
    def optimizer_config(self) -> dict:
        """What overrides the options of a resumed checkpoint."""
        return {
            "lr": self.cfg.lr[0],
            "betas": parse_betas(self.cfg.adam_betas),
            "eps": self.cfg.adam_eps,
            "weight_decay": self.cfg.weight_decay,
        }

    @property
    def supports_flat_params(self) -> bool:
        return True


def parse_betas(text: Any) -> tuple:
    """'(0.9, 0.999)' or a list of two numbers -> (0.9, 0.999)."""
    numbers = str(text).strip("()[] ").split(",")
    try:
        betas = tuple(float(number) for number in numbers)
    except ValueError:
        betas = ()
    if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
        raise UserError(f"--adam-betas is {text!r}, but must be two numbers from 0 to below 1: '(0.9, 0.999)'.")
    return betas
