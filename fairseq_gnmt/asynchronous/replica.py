"""Replica of the network, which computes gradients with fairseq's training step."""

import logging
import os
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Union

import numpy as np
from fairseq import tasks, utils
from fairseq.trainer import Trainer
from omegaconf import DictConfig, OmegaConf

from gnmt.training.flat_buffers import Shard, flatten, unflatten


class Log(NamedTuple):
    """Statistics of an update: arguments of fairseq's `Trainer._reduce_and_log_stats`."""

    logging_outputs: List[Dict[str, Any]]
    sample_size: float
    gradient_norm: Any


class GradientTrainer(Trainer):
    """fairseq's trainer without the optimizer step.

    Seeds, --update-freq, division by the sample size, clipping and the check for infinite gradients are fairseq's.

    Args:
        cfg: fairseq's configuration.
        task: fairseq's task.
        model: model to train.
        criterion: training criterion.
    """

    def __init__(self, cfg: DictConfig, task, model, criterion):
        super().__init__(cfg, task, model, criterion)
        task.optimizer_step = lambda *_, **__: None  # parameters change on the servers
        self._log: Optional[Log] = None

    def gradient(self, number: int, samples: List[Dict[str, Any]], parameters: np.ndarray) -> np.ndarray:
        """Returns the gradient as a flat buffer, clipped and divided by the sample size.

        Args:
            number: number of preceding updates.
            samples: batches of one update.
            parameters: flat buffer.
        """
        unflatten(parameters, list(self.optimizer.params))
        self._num_updates = number  # random numbers depend on it
        self.train_step(samples, raise_oom=True)
        tensors = [parameter if parameter.grad is None else parameter.grad for parameter in self.optimizer.params]
        gradient = flatten(tensors)
        offset = 0
        for parameter in self.optimizer.params:
            if parameter.grad is None:
                gradient[offset : offset + parameter.numel()] = 0
            offset += parameter.numel()
        return gradient

    def log(self) -> Log:
        """Returns the statistics of the last gradient."""
        assert self._log is not None
        return self._log

    def _reduce_and_log_stats(self, logging_outputs, sample_size, grad_norm=None) -> Dict[str, Any]:
        self._log = Log(utils.move_to_cpu(logging_outputs), float(sample_size), grad_norm.cpu())
        return {}


class Replica:
    """Process of a replica; its methods are called through Ray.

    Args:
        options: configuration of the training as a dictionary.
        shards: shards of the parameters.
    """

    def __init__(self, options: Dict[str, Any], shards: Sequence[Shard]):
        cfg = OmegaConf.create(options)
        logging.basicConfig(level=logging.WARNING)
        utils.import_user_module(cfg.common)
        task = tasks.setup_task(cfg.task)
        model = task.build_model(cfg.model, from_checkpoint=True)  # parameters come from the servers
        self._trainer = GradientTrainer(cfg, task, model, task.build_criterion(cfg.criterion))
        self._shards = shards

    def process(self) -> int:
        """Returns the process id; the call returns when the replica is ready."""
        return os.getpid()

    def gradient(
        self, number: int, samples: List[Dict[str, Any]], *parameters: np.ndarray
    ) -> List[Union[Log, np.ndarray]]:
        """Returns the log, and the gradient in one buffer per shard.

        Args:
            number: number of preceding updates.
            samples: batches of one update.
            parameters: one buffer per shard.
        """
        gradient = self._trainer.gradient(number, samples, np.concatenate(parameters))
        return [self._trainer.log(), *(gradient[shard.begin : shard.end] for shard in self._shards)]
