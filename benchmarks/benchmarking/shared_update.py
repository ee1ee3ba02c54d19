"""An update of GNMT divided by one of three parallelism strategies, with the time and memory of each process."""

import os
import socket
import time
from typing import List, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor

from benchmarking.memory import forget_peak
from gnmt.losses.fused_linear_cross_entropy import fused_label_smoothed_loss
from gnmt.commands.speed import peak_mebibytes
from gnmt.network.config import NetworkConfig
from gnmt.network.gnmt import GNMTNetwork
from gnmt.training.batch_shares import gather_batch, rows_of_process, sum_gradients
from gnmt.training.sharded_layers import shard_vocabulary, split_parameters
from gnmt.losses.sharded_cross_entropy import sharded_label_smoothed_loss
from gnmt.training.vocabulary_shards import VocabularyShard, vocabulary_shard

SMOOTHING = 0.1
COPIES = 4  # numbers per parameter in training: value, gradient and two moments of Adam
BYTES = 4
PAD = 1
# Parallelism strategies. Each process computes a share of the sentences; the last strategy also divides the output layer.
WHOLE, DATA, REPLICAS, VOCABULARY = "one process", "data parallelism", "replicas apart (BMUF)", "vocabulary parallelism"


class UpdateSetting(NamedTuple):
    """One measurement; the batch is the batch of all processes together."""

    strategy: str
    processes: int
    threads: int  # of each process
    hidden: int
    layers: int
    vocabulary: int
    batch: int
    length: int
    tied: bool
    updates: int


class Measured(NamedTuple):
    """Figures of one process."""

    seconds: List[float]  # of each update
    parameters: int
    state_mebibytes: float  # parameters, gradients and moments
    peak_mebibytes: float


def measure_process(rank: int, setting: UpdateSetting, port: int) -> Measured:
    """Measures in this process, which should be new; all processes call it at the same time.

    Args:
        rank: number of this process, from 0.
        setting: strategy and sizes.
        port: free port of this machine, for the rendezvous.
    """
    torch.set_num_threads(setting.threads)
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    if setting.processes > 1:
        address = f"tcp://127.0.0.1:{port}"
        dist.init_process_group("gloo", init_method=address, rank=rank, world_size=setting.processes)
    torch.manual_seed(1)
    config = NetworkConfig(
        setting.vocabulary, setting.vocabulary, PAD, setting.hidden, setting.layers, setting.layers, tie_output=setting.tied
    )  # fmt: skip
    network = GNMTNetwork(config).train()
    shard = None
    if setting.strategy == VOCABULARY:
        shard = vocabulary_shard(setting.vocabulary, rank, setting.processes)
        shard_vocabulary(network, shard)
    optimizer = torch.optim.Adam(network.parameters(), fused=True)
    source, target = torch.randint(3, setting.vocabulary, (2, setting.batch, setting.length))
    rows = rows_of_process(setting.batch, rank, setting.processes)
    seconds = []
    for number in range(setting.updates + 1):  # the first is a warm-up
        if number == 1:
            forget_peak()
        start = time.perf_counter()
        own_features, _ = network.decoder(target[rows], network.encoder(source[rows]), features_only=True)
        optimizer.zero_grad()
        loss_of(network, own_features, target, rows, shard).backward()
        if setting.strategy == DATA:
            sum_gradients(network.parameters())
        elif setting.strategy == VOCABULARY:
            sum_gradients(split_parameters(network)[0])
        optimizer.step()
        if number:
            seconds.append(time.perf_counter() - start)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return Measured(seconds, parameters, COPIES * BYTES * parameters / 2**20, peak_mebibytes())


def loss_of(
    network: GNMTNetwork, own_features: Tensor, target: Tensor, rows: Tensor, shard: VocabularyShard | None
) -> Tensor:
    """Returns the loss of a process's sentences; with a shard, the loss of the whole batch.

    Args:
        network: network of this process.
        own_features: features (R, T, H) of the sentences of this process.
        target: tokens (B, T) of the whole batch.
        rows: sentences of this process.
        shard: vocabulary of this process, or None.
    """
    projection = network.decoder.output_projection
    if shard is None:
        features, words = own_features.flatten(0, 1), target[rows].flatten()
        return fused_label_smoothed_loss(features, projection.weight, projection.bias, words, SMOOTHING)[0]
    features, words = gather_batch(own_features, len(target)).flatten(0, 1), target.flatten()
    return sharded_label_smoothed_loss(
        features, projection.weight, projection.bias, words, SMOOTHING, None, shard
    )[0]  # fmt: skip


def free_port() -> int:
    """Returns a free port of this machine."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
