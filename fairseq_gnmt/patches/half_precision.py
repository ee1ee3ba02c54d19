"""fairseq-train --fp16: exact resumption, and training on a CPU.

fairseq saves weights in half precision. For --fp16 it rebuilds the float32 master weights from them, which loses the
low-order digits of small updates. For the dynamic loss scale it saves the value, but not the counters that decide on
changes. With both saved, a resumed training run equals an uninterrupted training bit for bit. This is tested on CPUs with
--fp16 and --memory-efficient-fp16.

fairseq groups the weights by their GPU to make one flat copy for each. On a CPU there is one copy per weight.
"""

from typing import Any, Dict, List

import torch
from fairseq.optim.dynamic_loss_scaler import DynamicLossScaler
from fairseq.optim.fp16_optimizer import FP16Optimizer, MemoryEfficientFP16Optimizer
from fairseq.trainer import Trainer
from torch import Tensor

from fairseq_gnmt.patches.bfloat16 import trains_on_cpu

MASTER_WEIGHTS, COUNTERS = "master_weights", "loss_scale_counters"  # keys in the optimizer's state
COUNTER_NAMES = ("_iter", "_last_overflow_iter", "_last_rescale_iter", "_overflows_since_rescale")


def save_whole_state_of_half_precision() -> None:
    """Extends the state of fairseq's optimizers for half precision; states without the new parts still load."""
    for wrapper in (FP16Optimizer, MemoryEfficientFP16Optimizer):
        extend_state(wrapper)


def keep_weights_apart_on_cpus() -> None:
    """Sets --fp16-no-flatten-grads for --fp16 on a CPU."""
    initialize = Trainer.__init__

    def initialize_trainer(self, cfg, task, model, criterion, quantizer=None):
        cfg.common.fp16_no_flatten_grads |= cfg.common.fp16 and trains_on_cpu(cfg)
        initialize(self, cfg, task, model, criterion, quantizer)

    Trainer.__init__ = initialize_trainer


def extend_state(wrapper: Any) -> None:
    """Adds the master weights, if the wrapper has any, and the loss scale's counters to the state of a wrapper class."""
    save, load = wrapper.state_dict, wrapper.load_state_dict

    def state_dict(self) -> Dict[str, Any]:
        state = save(self)
        if self.scaler is not None:
            state[COUNTERS] = counters_of(self.scaler)
        if isinstance(self, FP16Optimizer):
            state[MASTER_WEIGHTS] = [weights.detach() for weights in self.fp32_optimizer.params]
        return state

    def load_state_dict(self, state_dict: Dict[str, Any], optimizer_overrides=None) -> None:
        load(self, state_dict, optimizer_overrides)
        if self.scaler is not None:
            restore_counters(self.scaler, state_dict.get(COUNTERS, {}))
        if isinstance(self, FP16Optimizer) and MASTER_WEIGHTS in state_dict:
            restore_weights(list(self.fp32_optimizer.params), state_dict[MASTER_WEIGHTS])

    wrapper.state_dict, wrapper.load_state_dict = state_dict, load_state_dict


def counters_of(scaler: DynamicLossScaler) -> Dict[str, int]:
    """Returns the counters of a loss scaler, by name."""
    return {name: getattr(scaler, name) for name in COUNTER_NAMES}


def restore_counters(scaler: DynamicLossScaler, counters: Dict[str, int]) -> None:
    """Sets the counters of a loss scaler; counters that are not given keep their value."""
    for name in COUNTER_NAMES:
        setattr(scaler, name, int(counters.get(name, getattr(scaler, name))))


@torch.no_grad()
def restore_weights(weights: List[Tensor], saved: List[Tensor]) -> None:
    """Copies saved weights into the weights of a model, in place."""
    for weight, saved_weight in zip(weights, saved, strict=True):
        weight.copy_(saved_weight)
