"""Costs of training with two processes on this machine, each with one thread, measured while both work."""

import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Callable, Tuple

import torch
import torch.distributed as dist
import torch.multiprocessing
from torch import Tensor, nn

from benchmarking.scaling.costs import FLOAT_BYTES, Batch, Network, parameters
from benchmarking.scaling.two_processes import PROCESSES, Calibration, Measured, Parts, fitted_link
from gnmt.losses.fused_linear_cross_entropy import fused_label_smoothed_loss
from gnmt.network.config import NetworkConfig
from gnmt.network.gnmt import GNMTNetwork
from gnmt.network.placement import Placement
from gnmt.training.batch_shares import gather_batch, rows_of_process, sum_gradients
from gnmt.training.sharded_layers import shard_vocabulary, split_parameters
from gnmt.losses.sharded_cross_entropy import sharded_label_smoothed_loss
from gnmt.training.vocabulary_shards import vocabulary_shard

WARM_UP = 1
MESSAGE_BYTES = (1 << 12, 1 << 16, 1 << 20, 1 << 23, 1 << 25)
FIRST_WORD = 4  # ids below it are special
SMOOTHING = 0.1


class Training:
    """A network with random weights, and batches of random tokens of one length."""

    def __init__(self, network: Network, batch: Batch):
        torch.manual_seed(1)
        config = NetworkConfig(
            network.vocabulary, network.vocabulary, hidden_size=network.hidden,
            encoder_layers=network.encoder_layers, decoder_layers=network.decoder_layers,
        )  # fmt: skip
        self.model = GNMTNetwork(config).train()
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3, fused=True)
        self.source, self.target = (
            torch.randint(FIRST_WORD, network.vocabulary, (batch.sentences, length))
            for length in (batch.source, batch.target)
        )

    def features(self, sentences: int) -> Tensor:
        """Returns the decoder's features (N, H) of the first sentences."""
        encoded = self.model.encoder(self.source[:sentences])
        features, _ = self.model.decoder(self.target[:sentences], encoded, features_only=True)
        return features.flatten(0, 1)

    def loss(self, features: Tensor, target: Tensor, vocabulary: int) -> Tensor:
        """Returns the loss of features (N, H) with an output layer of the first tokens of the vocabulary.

        Args:
            features: (N, H).
            target: (N,), tokens; larger ids are reduced modulo `vocabulary`.
            vocabulary: number of rows of the output layer that are used.
        """
        output = self.model.decoder.output_projection
        weight, bias = output.weight[:vocabulary], output.bias[:vocabulary]
        return fused_label_smoothed_loss(features, weight, bias, target % vocabulary, SMOOTHING)[0]

    def run_recurrence(self, sentences: int) -> None:
        self.model.zero_grad(set_to_none=True)
        self.features(sentences).sum().backward()

    def run_softmax(self, sentences: int, vocabulary: int) -> None:
        target = self.target[:sentences].flatten()
        features = torch.ones(len(target), self.model.config.hidden_size, requires_grad=True)
        self.model.zero_grad(set_to_none=True)
        self.loss(features, target, vocabulary).backward()

    def run_adam(self) -> None:
        for parameter in self.model.parameters():
            if parameter.grad is None:
                parameter.grad = torch.ones_like(parameter)
        self.optimizer.step()

    def run_update(self, sentences: int, all_reduce: bool = False) -> None:
        self.model.zero_grad(set_to_none=True)
        target = self.target[:sentences].flatten()
        self.loss(self.features(sentences), target, self.model.config.target_vocabulary_size).backward()
        if all_reduce:
            sum_in_one_buffer(self.model)
        self.optimizer.step()


class SplitTraining(Training):
    """Training with an output layer that is divided over the processes, as by --vocabulary-parallel."""

    def __init__(self, network: Network, batch: Batch):
        super().__init__(network, batch)
        self.shard = vocabulary_shard(network.vocabulary, dist.get_rank(), PROCESSES)
        shard_vocabulary(self.model, self.shard)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3, fused=True)
        self.rows = rows_of_process(batch.sentences, dist.get_rank(), PROCESSES)

    def run_split_update(self) -> None:
        self.model.zero_grad(set_to_none=True)
        encoded = self.model.encoder(self.source[self.rows])
        own_features, _ = self.model.decoder(self.target[self.rows], encoded, features_only=True)
        features = gather_batch(own_features, len(self.target)).flatten(0, 1)
        output = self.model.decoder.output_projection
        loss, _ = sharded_label_smoothed_loss(
            features, output.weight, output.bias, self.target.flatten(), SMOOTHING, None, self.shard
        )
        loss.backward()
        sum_gradients(split_parameters(self.model)[0])
        self.optimizer.step()


def sum_in_one_buffer(model: nn.Module) -> None:
    """Sums the gradients of the processes in one buffer, as fairseq's legacy_ddp does."""
    gradients = [parameter.grad for parameter in model.parameters()]
    buffer = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(buffer)
    for gradient, part in zip(gradients, buffer.split([gradient.numel() for gradient in gradients])):
        gradient.copy_(part.view_as(gradient))


def median_seconds(run: Callable[[], None], repetitions: int, together: bool = False) -> float:
    """Returns the median time of a call; with `together`, all processes begin each call at the same time.

    Args:
        run: function to measure.
        repetitions: number of measured calls, after one warm-up call.
        together: wait for all processes before each call.
    """
    seconds = []
    for _ in range(WARM_UP + repetitions):
        if together:
            dist.barrier()
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[WARM_UP:])


def measure(network: Network, batch: Batch, repetitions: int) -> Calibration:
    """Measures the parts with two processes, and whole updates with one and with two.

    Args:
        network: sizes of the network.
        batch: batch of both processes together.
        repetitions: number of repetitions of each measurement.
    """
    with tempfile.TemporaryDirectory() as folder:
        arguments = (folder, network, batch, repetitions)
        torch.multiprocessing.spawn(_measure_in_process, arguments, nprocs=PROCESSES)
        results = json.loads(Path(folder, "measured.json").read_text(encoding="utf-8"))
    link = fitted_link(MESSAGE_BYTES, results["messages"], PROCESSES)
    one_thread, two_threads, layers = _measure_alone(network, batch, repetitions)
    return Calibration(
        Parts(**results["parts"]),
        link,
        Measured(one_thread, two_threads, layers, results["data_parallel"], results["vocabulary_parallel"]),
    )


def _measure_alone(network: Network, batch: Batch, repetitions: int) -> Tuple[float, float, float]:
    """Returns the times of an update with one thread, with two, and with layers on two CPU devices."""
    threads = torch.get_num_threads()
    seconds = []
    for number, devices in ((1, 1), (2, 1), (1, 2)):
        torch.set_num_threads(number)
        training = Training(network, batch)
        if devices > 1:
            training.model.place(Placement((torch.device("cpu"),) * devices))
        seconds.append(median_seconds(lambda current=training: current.run_update(batch.sentences), repetitions))
    torch.set_num_threads(threads)
    return seconds[0], seconds[1], seconds[2]


def _measure_in_process(rank: int, folder: str, network: Network, batch: Batch, repetitions: int) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=PROCESSES)
    training, half_batch = Training(network, batch), batch.sentences // PROCESSES
    buffer = torch.ones(parameters(network))
    destination = torch.empty_like(buffer)

    def seconds(run: Callable[[], None]) -> float:
        return median_seconds(run, repetitions, together=True)

    parts = Parts(
        recurrence=seconds(lambda: training.run_recurrence(half_batch)),
        softmax=seconds(lambda: training.run_softmax(half_batch, network.vocabulary)),
        half_softmax=seconds(lambda: training.run_softmax(batch.sentences, network.vocabulary // PROCESSES)),
        adam=seconds(training.run_adam),
        copy=seconds(lambda: destination.copy_(buffer)),
    )
    buffers = [torch.ones(size // FLOAT_BYTES) for size in MESSAGE_BYTES]
    messages = [seconds(lambda buffer=buffer: dist.all_reduce(buffer)) for buffer in buffers]
    data_parallel = seconds(lambda: training.run_update(half_batch, all_reduce=True))
    vocabulary_parallel = seconds(SplitTraining(network, batch).run_split_update)
    if rank == 0:
        results = {
            "parts": parts._asdict(),
            "messages": messages,
            "data_parallel": data_parallel,
            "vocabulary_parallel": vocabulary_parallel,
        }
        Path(folder, "measured.json").write_text(json.dumps(results), encoding="utf-8")
    dist.barrier()
    dist.destroy_process_group()
