"""fairseq-train --bf16 on GPUs and CPUs.

fairseq assumes that bfloat16 is for TPUs and sets --tpu. On a GPU the rest of its bfloat16 training (float32 master
weights, no loss scale) works. On a CPU it would round weights, activations and cell states. The task then computes
only large products in bfloat16, and all other operations in float32, with the same checkpoints.
"""

import importlib.util
import logging
from typing import Callable

import torch
from fairseq.distributed import utils as distributed_utils
from fairseq.trainer import Trainer
from omegaconf import DictConfig

from gnmt.errors import UserError
from gnmt.training.precision import bfloat16_speedup

logger = logging.getLogger(__name__)


def allow_bfloat16_without_tpu() -> None:
    """Clears the --tpu set by --bf16 if torch_xla is missing, before fairseq sets up its processes."""
    call_main = distributed_utils.call_main

    def call_without_tpu(cfg, main, **kwargs):
        if cfg.common.bf16 and importlib.util.find_spec("torch_xla") is None:
            cfg.common.tpu = False
        return call_main(cfg, main, **kwargs)

    distributed_utils.call_main = call_without_tpu


def keep_weights_in_float32_on_cpus() -> None:
    """Makes the trainer pass --bf16 on a CPU to the task, as the precision of products."""
    initialize = Trainer.__init__

    def initialize_trainer(self, cfg, task, model, criterion, quantizer=None):
        if cfg.common.bf16 and trains_on_cpu(cfg) and hasattr(task, "product_precision"):
            check_bfloat16_on_cpu(cfg)
            task.product_precision = torch.bfloat16
            cfg.common.bf16 = False
        initialize(self, cfg, task, model, criterion, quantizer)

    Trainer.__init__ = initialize_trainer


def trains_on_cpu(cfg: DictConfig) -> bool:
    """Returns True if fairseq will train on the CPU."""
    return cfg.common.cpu or not torch.cuda.is_available()


def check_bfloat16_on_cpu(cfg: DictConfig, speedup: Callable[[], float] = bfloat16_speedup) -> None:
    """Checks the bfloat16 options of a training run on a CPU; warns if float32 is faster.

    Args:
        cfg: fairseq's whole configuration.
        speedup: returns the speed of bfloat16 relative to float32.

    Raises:
        UserError: for weights in bfloat16.
    """
    if cfg.common.memory_efficient_bf16:
        raise UserError(
            "--memory-efficient-bf16 keeps weights in bfloat16, which loses small updates: on a CPU give --bf16, which keeps "
            "them in float32."
        )
    factor = speedup()
    if factor < 1:
        logger.warning(
            "--bf16 is slower than float32 on this processor: a matrix product takes %.1f times as long. Leave --bf16 out; "
            "the training can go on without it.",
            1 / factor,
        )
    logger.info("large products are computed in bfloat16; weights, gradients, cell states and softmax are in float32")
