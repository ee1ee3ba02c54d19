"""fairseq's trainer for asynchronous updates.

fairseq's loop over batches, epochs, validations and checkpoints is unchanged. Its training step passes a batch to a
replica instead of computing an update. The loop counts dispatched batches. Their number equals the number of updates at
each validation and checkpoint, because the trainer first waits for all replicas.
"""

import datetime
import logging
import time
from typing import Any, Dict, List, Optional

from fairseq.logging import metrics
from fairseq.trainer import Trainer

from fairseq_gnmt.asynchronous.options import check_asynchronous_options, max_staleness
from fairseq_gnmt.asynchronous.ray_replicas import RayReplicas
from gnmt.training.asynchronous_updates import Applied, AsynchronousUpdates
from gnmt.training.flat_buffers import copy_state, divide_into_shards, flatten, load_state, unflatten

logger = logging.getLogger(__name__)


class AsynchronousTrainer(Trainer):
    """Trainer whose parameters are on servers; its own network is used for validation and checkpoints.

    Args:
        cfg: fairseq's configuration.
        task: fairseq's task.
        model: model to train.
        criterion: training criterion.
        quantizer: passed to fairseq's trainer.
    """

    _replicas: RayReplicas  # from the first training step on
    _updates: AsynchronousUpdates

    def __init__(self, cfg, task, model, criterion, quantizer=None):
        check_asynchronous_options(cfg)  # in fairseq-hydra-train this is the first check
        super().__init__(cfg, task, model, criterion, quantizer)
        self._has_replicas = False
        self._batches: Any = None  # of this epoch
        self._began: Dict[str, float] = {}
        self._staleness = 0  # maximum since the last line of the log

    def get_train_iterator(self, *arguments, **options):
        self._batches = super().get_train_iterator(*arguments, **options)
        return self._batches

    @metrics.aggregate("train")
    def train_step(self, samples: List[Dict[str, Any]], raise_oom: bool = False) -> Dict[str, float]:
        """Passes a batch to a replica, and logs the updates that have been applied.

        Args:
            samples: batches of one update.
            raise_oom: unused.
        """
        metrics.log_start_time("train_wall", priority=800, round=0)
        if not self._has_replicas:
            self._start()
        number = self.get_num_updates()
        self._log(self._updates.submit(number, samples, self.get_lr()))
        self.set_num_updates(number + 1)
        if self._batches.end_of_epoch():
            self._drain()
        if (number + 1) % self.cfg.common.log_interval == 0:
            self._log_progress()
        metrics.log_stop_time("train_wall")
        return {}

    def begin_valid_epoch(self, epoch: int) -> None:
        if self._has_replicas:
            self._drain()
            unflatten(self._replicas.parameters(), list(self.optimizer.params))
        super().begin_valid_epoch(epoch)

    def consolidate_optimizer(self) -> None:
        """Waits for all replicas; fairseq calls this method before it writes a checkpoint."""
        if self._has_replicas:
            self._drain()
            parameters, state = self._replicas.state()
            unflatten(parameters, list(self.optimizer.params))
            load_state(self.optimizer.optimizer, state)
        super().consolidate_optimizer()

    def save_checkpoint(self, filename: str, extra_state: Dict[str, Any]) -> Optional[str]:
        path = super().save_checkpoint(filename, extra_state)
        if self._has_replicas:
            self.optimizer.optimizer.state.clear()  # the servers hold the state
        return path

    def _start(self) -> None:
        """Starts replicas and servers with the state of this trainer, new or from a checkpoint."""
        parameters = list(self.optimizer.params)
        cfg, maximum = self.cfg, max_staleness(self.cfg)
        shards = divide_into_shards([parameter.numel() for parameter in parameters], cfg.task.parameter_servers)
        count, state = cfg.task.asynchronous_replicas, copy_state(self.optimizer.optimizer)
        self._replicas = RayReplicas(cfg, count, maximum + 1, flatten(parameters), state, shards)
        self._updates = AsynchronousUpdates(self._replicas, maximum)
        self._has_replicas = True
        self.optimizer.optimizer.state.clear()
        self._began = {"time": time.monotonic(), "update": self.get_num_updates()}
        logger.info("%d replicas, %d servers, staleness of at most %d", count, len(shards), maximum)

    def _drain(self) -> None:
        with metrics.aggregate("train_inner"):
            self._log(self._updates.drain())

    def _log(self, applied: List[Applied]) -> None:
        for update in applied:
            self._staleness = max(self._staleness, update.staleness)
            metrics.log_scalar("staleness", update.staleness, priority=600, round=2)
            self._reduce_and_log_stats(*update.gradient.log)

    def _log_progress(self) -> None:
        updates, total = self.get_num_updates(), self.cfg.optimization.max_update
        seconds = (time.monotonic() - self._began["time"]) / (updates - self._began["update"])
        remaining = (
            f" of {total}, {datetime.timedelta(seconds=round(seconds * (total - updates)))} left" if total else ""
        )
        logger.info(
            "update %d%s; staleness up to %d; %d replicas replaced",
            updates,
            remaining,
            self._staleness,
            self._replicas.deaths,
        )
        self._staleness = 0
