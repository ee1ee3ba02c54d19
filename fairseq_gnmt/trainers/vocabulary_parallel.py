"""Trainer for --vocabulary-parallel: all processes act as one process with one large batch.

All processes read the same batches. Each process runs the recurrent layers for some sentences, and the output layer for
some tokens of the vocabulary (gnmt.training). For fairseq this is a training run of one process: no gradients are averaged,
and batches, learning rates, logs and checkpoints are as with one process. Checkpoints contain whole parameters, so a
training can resume with any number of processes.
"""

import functools
import logging
from typing import Any, Dict, List, Optional

import torch
import torch.distributed as dist
from fairseq import utils
from fairseq.trainer import Trainer
from torch import Tensor

from gnmt.errors import UserError
from gnmt.training.sharded_layers import gather_weights, sharded_layers, split_parameters
from gnmt.training.sharded_state import State, gather_state, shard_state, whole_gradient_norm
from gnmt.training.vocabulary_shards import VocabularyShard

logger = logging.getLogger(__name__)


class VocabularyParallelTrainer(Trainer):
    """fairseq's trainer for a model with an output layer that is divided over all processes."""

    def __init__(self, *arguments, **keywords):
        self._gathered_model: Optional[Dict[str, Tensor]] = None
        self._is_in_train_step = False
        super().__init__(*arguments, **keywords)

    # -- one process, as far as fairseq's data parallelism is concerned

    @property
    def data_parallel_world_size(self) -> int:
        return 1

    @property
    def data_parallel_rank(self) -> int:
        return 0

    @property
    def data_parallel_process_group(self) -> None:
        return None

    @property
    def should_save_checkpoint_on_current_rank(self) -> bool:
        return dist.get_rank() == 0

    # -- training

    def train_step(self, samples: List[Any], raise_oom: bool = False):
        """Runs an update.

        Args:
            samples: batches of the update.
            raise_oom: unused. Out-of-memory errors are raised: skipping a batch in one process would block the others.
        """
        self._is_in_train_step = True
        result = super().train_step(samples, raise_oom=True)
        self._is_in_train_step = False
        self._cumulative_training_time = self._mean(self._local_cumulative_training_time())
        return result

    def _mean(self, number: float) -> float:
        """Returns the mean of a number over the processes, so that all processes make equal decisions."""
        mean = torch.tensor(number, dtype=torch.double, device=self.device)
        dist.all_reduce(mean)
        return mean.item() / dist.get_world_size()

    def clip_grad_norm(self, clip_norm: float) -> Tensor:
        """Clips the gradient of the whole network and returns its norm."""
        norm = whole_gradient_norm(*split_parameters(self.get_model()))
        return self.optimizer.clip_grad_norm(clip_norm, aggregate_norm_fn=lambda local_norm: norm.to(local_norm))

    # -- checkpoints

    def _build_optimizer(self) -> None:
        super()._build_optimizer()
        optimizer = self._optimizer
        if not optimizer.supports_flat_params:
            raise UserError(
                f"--vocabulary-parallel needs an optimizer that treats each weight alone, not {type(optimizer).__name__}: "
                "give --optimizer gnmt_adam or gnmt_adam_then_sgd."
            )
        load = optimizer.load_state_dict

        @functools.wraps(load)
        def load_shard(state: State, overrides: Optional[Dict[str, Any]] = None) -> None:
            load(shard_state(state, self._sharded_indices, self._shard), overrides)

        optimizer.load_state_dict = load_shard

    @property
    def _shard(self) -> VocabularyShard:
        return next(iter(sharded_layers(self.get_model()).values())).shard

    @property
    def _sharded_indices(self) -> List[int]:
        """Returns the indices of the sharded parameters in the optimizer."""
        sharded = {id(parameter) for parameter in split_parameters(self.get_model())[1]}
        return [index for index, parameter in enumerate(self.optimizer.params) if id(parameter) in sharded]

    def consolidate_optimizer(self) -> None:
        """Gathers the whole model and optimizer state; called by fairseq before a checkpoint.

        fairseq also calls it when one process fails in a training step. The other processes are then in another call,
        so nothing is gathered.
        """
        if self._is_in_train_step:
            return
        weights = dict(self.model.state_dict())
        gather_weights(self.get_model(), weights)
        state = None
        if not self.cfg.checkpoint.no_save_optimizer_state:
            state = gather_state(self.optimizer.state_dict(), self._sharded_indices, self._shard)
        if self.should_save_checkpoint_on_current_rank:
            self._gathered_model, self._gathered_optim_state = utils.move_to_cpu((weights, state))

    def state_dict(self) -> Dict[str, Any]:
        """Returns the content of a checkpoint, gathered by `consolidate_optimizer`."""
        state = super().state_dict()
        state["model"], self._gathered_model = self._gathered_model, None
        return state

    def save_checkpoint(self, filename: str, extra_state: Dict[str, Any]) -> Optional[str]:
        """Saves the gathered state; saves nothing after a failed training step, which has no gathered state.

        Args:
            filename: file to write.
            extra_state: further contents of the checkpoint.
        """
        if self._is_in_train_step:
            logger.warning("%s is not written: a process alone has only its share of the weights", filename)
            return None
        return super().save_checkpoint(filename, extra_state)
