"""torch's fused Adam: one pass over the parameters instead of several per tensor as in fairseq's own."""

from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Callable, List, Optional, Union

import torch
from fairseq.dataclass import FairseqDataclass
from fairseq.optim import FairseqOptimizer, register_optimizer
from omegaconf import II
from torch import Tensor
from torch.nn.utils import clip_grads_with_norm_
from torch.optim.adam import adam

from gnmt.errors import UserError
from gnmt.ranges import Range, check_ranges

HALF_PRECISIONS = (torch.float16, torch.bfloat16)


@dataclass
class GNMTAdamConfig(FairseqDataclass):
    """Options of the optimizer `gnmt_adam`."""

    adam_betas: Any = field(default="(0.9, 0.999)", metadata={"help": "decay rates of the two moments"})
    adam_eps: float = field(default=1e-8, metadata={"help": "added to the denominator", "range": Range(0, 1_000)})
    weight_decay: float = field(
        default=0.0, metadata={"help": "L2 penalty, added to the gradient", "range": Range(0, 1_000)}
    )
    lr: List[float] = II("optimization.lr")


class Float32Adam(torch.optim.Adam):
    """torch.optim.Adam(fused=True) with float32 moments and updates, also for parameters in half precision.

    fairseq's --memory-efficient-fp16 and -bf16 pass parameters in half precision. In float16 Adam's epsilon of 1e-8 and
    most second moments would be 0.
    """

    supports_memory_efficient_fp16 = True
    disable_mem_eff_fp16_loading_hack = True  # load_state_dict below keeps the moments in float32

    @property
    def supports_step_with_scale(self) -> bool:
        """True, so that fairseq passes the loss scale to `step`.

        A division of gradients in half precision would round small gradients to 0.
        """
        return self.param_groups[0]["params"][0].dtype in HALF_PRECISIONS

    @torch.no_grad()
    def step(self, closure=None, scale: float = 1.0):
        """Updates all parameters.

        Args:
            closure: computes the loss, as in torch.
            scale: loss scale, by which gradients of parameters in half precision are divided.
        """
        if not self.supports_step_with_scale:
            return super().step(closure)
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._step_in_float32(group, parameter, unscaled(parameter.grad.float(), scale))
        return None

    def _step_in_float32(self, group: dict, parameter: Tensor, gradient: Tensor) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros((), device=parameter.device)
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(gradient), torch.zeros_like(gradient)
        updated = parameter.float()
        adam(
            [updated], [gradient], [state["exp_avg"]], [state["exp_avg_sq"]], [], [state["step"]],
            fused=True, amsgrad=False, maximize=False,
            beta1=group["betas"][0], beta2=group["betas"][1],
            lr=group["lr"], weight_decay=group["weight_decay"], eps=group["eps"],
        )  # fmt: skip
        parameter.copy_(updated)

    def load_state_dict(self, state_dict: dict) -> None:
        """Loads the moments in float32; torch would round them to the precision of the parameters."""
        super().load_state_dict(state_dict)
        if not self.supports_step_with_scale:
            return
        saved_indices = chain.from_iterable(group["params"] for group in state_dict["param_groups"])
        for index, parameter in zip(saved_indices, chain.from_iterable(group["params"] for group in self.param_groups)):
            if index in state_dict["state"]:
                self.state[parameter] = {
                    name: value.to(parameter.device, torch.float32, copy=True)
                    for name, value in state_dict["state"][index].items()
                }


def unscaled(gradient: Tensor, scale: Union[float, Tensor]) -> Tensor:
    """Returns a gradient divided by the loss scale, which may be a number on another device."""
    return gradient / (scale.to(gradient.device) if isinstance(scale, Tensor) else scale)


@register_optimizer("gnmt_adam", dataclass=GNMTAdamConfig)
class GNMTAdam(FairseqOptimizer):
    """Adam (Kingma and Ba 2015) as in torch.optim.Adam(fused=True), on CPU and CUDA.

    Args:
        cfg: options of the optimizer.
        params: parameters to update.
    """

    def __init__(self, cfg: GNMTAdamConfig, params):
        super().__init__(cfg)
        check_ranges(GNMTAdamConfig, cfg)
        Range(0, 1_000).check("lr", cfg.lr[0])
        self._optimizer = self.make_optimizer(params, **self.optimizer_config, fused=True)

    def make_optimizer(self, params, **adam_options) -> torch.optim.Optimizer:
        return Float32Adam(params, **adam_options)

    def clip_grad_norm(self, max_norm: float, aggregate_norm_fn: Optional[Callable] = None) -> Tensor:
        """Clips the gradients and returns their norm before clipping, computed in float32.

        Norm and clipping are computed on the devices of the gradients. The norm is returned on the first of these
        devices. fairseq would move it to a GPU if there is one, even with --cpu.

        Args:
            max_norm: maximum norm; 0 disables clipping.
            aggregate_norm_fn: aggregates the norm over processes.
        """
        parameters = [parameter for parameter in self.params if parameter.grad is not None]
        norms = [torch.linalg.vector_norm(parameter.grad, dtype=torch.float32) for parameter in parameters]
        norm = (
            torch.linalg.vector_norm(torch.stack([parameter_norm.to(norms[0].device) for parameter_norm in norms]))
            if norms
            else torch.zeros(())
        )
        if aggregate_norm_fn is not None:
            norm = aggregate_norm_fn(norm)
        if max_norm > 0:
            clip_grads_with_norm_(parameters, max_norm, norm)
        return norm

    @property
    def optimizer_config(self) -> dict:
        """Options that override the options of a resumed checkpoint."""
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
    """Returns the two numbers of a text such as "(0.9, 0.999)", or of a list.

    Raises:
        UserError: if they are not two numbers from 0 to below 1.
    """
    numbers = str(text).strip("()[] ").split(",")
    try:
        betas = tuple(float(number) for number in numbers)
    except ValueError:
        betas = ()
    if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
        raise UserError(f"--adam-betas is {text!r}, but must be two numbers from 0 to below 1: '(0.9, 0.999)'.")
    return betas
