"""Trainer for --use-bmuf: logs include all replicas; validations and checkpoints use the global model.

Between two synchronisations the replicas do not communicate. Their logs are kept until then, and summed update by
update.
"""

from typing import Any, Dict, List, NamedTuple, Optional

import torch
import torch.distributed as dist
from fairseq.trainer import Trainer
from torch import Tensor


class Update(NamedTuple):
    """Log of one update of a replica."""

    sums: Dict[str, Any]  # summed logging outputs; 0 for a dummy batch
    gradient_norm: Any


class BMUFTrainer(Trainer):
    """fairseq's trainer for replicas that are merged by fairseq_gnmt.optim.bmuf."""

    def __init__(self, *arguments, **keywords):
        self._waiting: List[Update] = []
        self._names: List[str] = []  # names of the logged statistics
        self._is_in_train_step = self._is_dummy = False
        super().__init__(*arguments, **keywords)

    def train_step(self, samples: List[Any], raise_oom: bool = False):
        self._is_in_train_step, self._is_dummy = True, False
        result = super().train_step(samples, raise_oom)
        self._is_in_train_step = False
        return result

    def cumulative_training_time(self) -> float:
        """Returns the time at the last synchronisation, so that all replicas decide equally about --stop-time-hours."""
        return (
            self._previous_training_time if self._cumulative_training_time is None else self._cumulative_training_time
        )

    # -- validations and checkpoints

    def begin_valid_epoch(self, epoch: int) -> None:
        self._synchronise()
        super().begin_valid_epoch(epoch)

    def consolidate_optimizer(self) -> None:
        """Synchronises before a checkpoint; fairseq also calls this method alone after a failed training step."""
        if not self._is_in_train_step:
            self._synchronise()
        super().consolidate_optimizer()

    def _synchronise(self) -> None:
        self.optimizer.synchronise()
        self._log_waiting()

    # -- logs

    def _aggregate_logging_outputs(self, logging_outputs: List[Dict[str, Any]], *extra_stats_to_sum, ignore=False):
        """Sums the sample sizes for the gradient; in a training step, statistics are not summed.

        Args:
            logging_outputs: logging outputs of the criterion.
            extra_stats_to_sum: further numbers to sum.
            ignore: True if the batch does not count.
        """
        if not self._is_in_train_step:
            return super()._aggregate_logging_outputs(logging_outputs, *extra_stats_to_sum, ignore=ignore)
        self._is_dummy = ignore
        _, sums = super()._aggregate_logging_outputs([], *extra_stats_to_sum)
        return logging_outputs, sums

    def _reduce_and_log_stats(
        self, logging_outputs: List[Dict[str, Any]], sample_size: Any, grad_norm: Optional[Tensor] = None
    ) -> Dict[str, Any]:
        """Logs a validation at once, and an update after the next synchronisation.

        Args:
            logging_outputs: logging outputs of the criterion.
            sample_size: divisor of the gradient.
            grad_norm: norm of the gradient.
        """
        if not self._is_in_train_step:
            return super()._reduce_and_log_stats(logging_outputs, sample_size, grad_norm)
        weight = 0 if self._is_dummy or (not torch.is_tensor(sample_size) and not sample_size) else 1
        self._names = list(logging_outputs[0]) if logging_outputs else self._names  # empty after an out-of-memory error
        sums = {name: weight * sum(log[name] for log in logging_outputs) for name in self._names}
        self._waiting.append(Update(sums, grad_norm))
        return {} if self.optimizer.updates_since_sync else self._log_waiting()

    def _log_waiting(self) -> Dict[str, Any]:
        """Logs the updates since the last synchronisation; returns the statistics of the last one."""
        waiting, self._waiting = self._waiting, []
        logged: Dict[str, Any] = {}
        for sums, update in zip(summed_over_replicas([update.sums for update in waiting], self.device), waiting):
            logged = super()._reduce_and_log_stats([sums], sums["sample_size"], update.gradient_norm)
        return logged


def summed_over_replicas(updates: List[Dict[str, Any]], device: torch.device) -> List[Dict[str, Any]]:
    """Returns the statistics of each update, summed over all processes.

    All processes must have equal names and numbers of updates.

    Args:
        updates: statistics of each update of this process, by name.
        device: device of the communication.
    """
    if not updates:
        return []
    names = list(updates[0])
    rows = [[torch.as_tensor(update[name], dtype=torch.double, device=device) for name in names] for update in updates]
    numbers = torch.stack([torch.stack(row) for row in rows])
    dist.all_reduce(numbers)
    return [dict(zip(names, row)) for row in numbers]
