"""Replicas and parameter servers as Ray actors.

Gradients pass from replicas to servers through Ray's shared memory; this process sends only references. A server runs
the calls of this process in order, so a replica receives the parameters after exactly the preceding updates.
"""

import logging
import math
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf

from fairseq_gnmt.asynchronous.ray_session import start_ray
from fairseq_gnmt.asynchronous.replica import Log, Replica
from fairseq_gnmt.asynchronous.server import Server
from gnmt.errors import UserError
from gnmt.training.asynchronous_updates import Outcome
from gnmt.training.flat_buffers import FlatState, Shard, join

logger = logging.getLogger(__name__)

MAX_FAILED_STARTS = 3  # consecutive failed starts of replicas
BYTES = 4  # per float32


class ServerLost(Exception):
    """A server has died, and the updates since the last checkpoint are lost."""


class Gradient(NamedTuple):
    """Log of a gradient, and references to its buffers, one per shard."""

    log: Log
    buffers: List[Any]


class Work(NamedTuple):
    """Batch that a replica computes, and references to the resulting buffers."""

    replica: Any
    batch: int
    buffers: List[Any]


class RayReplicas:
    """Replicas and servers of a training run on this machine.

    Args:
        cfg: configuration of the training.
        count: number of replicas.
        outstanding: maximum number of gradients that are computed at the same time.
        parameters: flat buffer.
        state: state of the optimizer.
        shards: one per server.
    """

    def __init__(
        self,
        cfg: DictConfig,
        count: int,
        outstanding: int,
        parameters: np.ndarray,
        state: FlatState,
        shards: Sequence[Shard],
    ):
        buffers = outstanding + count + 1 + 4  # gradients, parameters of several updates, the state for a checkpoint
        self._ray = start_ray(count + len(shards) + 1, BYTES * len(parameters) * buffers)
        gpus = 0 if cfg.common.cpu else torch.cuda.device_count()
        share = 1 / math.ceil(count / gpus) if gpus else 0
        server = self._ray.remote(num_cpus=1)(Server)
        self._actor = self._ray.remote(num_cpus=1, num_gpus=share)(Replica)
        options = OmegaConf.to_container(cfg, resolve=True, enum_to_str=True)  # as in a checkpoint
        self._servers = [
            server.remote(options, parameters[shard.begin : shard.end], shard.sizes, state.part(shard))
            for shard in shards
        ]
        self._arguments = (options, list(shards))
        self._starting: Dict[Any, Any] = {}  # reference to the process number of a replica -> replica
        self._running: Dict[Any, Work] = {}  # reference to the log of a gradient -> work
        self._idle: List[Any] = []
        self._failed_starts = 0
        self._at_servers: List[Any] = []  # references to the results of the last update
        # References to the current parameters, after the first request by a replica.
        self._fetched: Optional[List[Any]] = None
        self.deaths = 0
        for _ in range(count):
            self._launch()
        for process in self._from_servers([server.process.remote() for server in self._servers]):
            logger.info("server: process %d", process)

    def idle(self) -> bool:
        return bool(self._idle)

    def start(self, number: int, batch: Any) -> None:
        replica = self._idle.pop()
        call = replica.gradient.options(num_returns=1 + len(self._servers))
        log, *buffers = call.remote(number, batch, *self._parameters())
        self._running[log] = Work(replica, number, buffers)

    def wait(self) -> List[Outcome]:
        references = [*self._running, *self._starting]
        self._ray.wait(references, num_returns=1)
        ready, _ = self._ray.wait(references, num_returns=len(references), timeout=0)
        return [outcome for reference in ready if (outcome := self._outcome(reference)) is not None]

    def apply(self, gradient: Gradient, rate: float) -> None:
        self._from_servers(self._at_servers)  # raises errors of the last update
        self._at_servers = [
            server.apply.remote(buffer, rate) for server, buffer in zip(self._servers, gradient.buffers)
        ]
        self._fetched = None

    def parameters(self) -> np.ndarray:
        """Returns the current parameters as one buffer."""
        return np.concatenate(self._from_servers(self._parameters()))

    def state(self) -> Tuple[np.ndarray, FlatState]:
        """Returns the current parameters as one buffer, and the state of the optimizer."""
        answers = self._from_servers([server.state.remote() for server in self._servers])
        return np.concatenate([buffer for buffer, _ in answers]), join([state for _, state in answers])

    def _launch(self) -> None:
        replica = self._actor.remote(*self._arguments)
        self._starting[replica.process.remote()] = replica

    def _parameters(self) -> List[Any]:
        if self._fetched is None:
            self._fetched = [server.parameters.remote() for server in self._servers]
        return self._fetched

    def _outcome(self, reference: Any) -> Optional[Outcome]:
        """Returns the outcome of finished work; None for a replica that has started or failed to start."""
        work = self._running.pop(reference, None)
        replica = work.replica if work else self._starting.pop(reference)
        try:
            value = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            self._replace(replica, error, has_worked=work is not None)
            return Outcome(work.batch, None) if work else None
        self._idle.append(replica)
        if work is None:
            logger.info("replica: process %d", value)
            return None
        self._failed_starts = 0
        return Outcome(work.batch, Gradient(value, work.buffers))

    def _replace(self, replica: Any, error: Exception, has_worked: bool) -> None:
        """Starts a replacement for a replica that has died; raises any other error.

        Args:
            replica: actor that returned the error.
            error: error of the actor.
            has_worked: the replica has started successfully.
        """
        self._from_servers([server.process.remote() for server in self._servers])
        if isinstance(error, self._ray.exceptions.RayTaskError) and not self._is_death(error.cause):
            raise error.cause if isinstance(error.cause, UserError) else error
        self._failed_starts += not has_worked
        if self._failed_starts == MAX_FAILED_STARTS:
            raise error
        self.deaths += 1
        logger.warning("a replica has died: another one takes its place")
        self._ray.kill(replica)
        self._launch()

    def _from_servers(self, references: List[Any]) -> List[Any]:
        """Returns the results of servers.

        Raises:
            ServerLost: if a server has died.
        """
        try:
            return self._ray.get(references)
        except self._ray.exceptions.RayError as error:
            if isinstance(error, self._ray.exceptions.RayTaskError) and not self._is_death(error.cause):
                raise
            raise ServerLost(str(error).splitlines()[0]) from error

    def _is_death(self, error: Any) -> bool:
        return isinstance(error, self._ray.exceptions.RayError)
