"""Costs of training with two processes on this machine, each with one thread, measured while both work.

What is measured is a part of an update by itself. What it predicts is a whole update of each way.
"""

import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Sequence, Tuple

import torch
import torch.distributed as dist
import torch.multiprocessing
from torch import Tensor, nn

from benchmarking.scaling.costs import FLOAT_BYTES, Batch, Link, Network, all_gather_seconds, all_reduce_seconds
from benchmarking.scaling.costs import output_weights, parameters
from benchmarking.scaling.ways import LOSS_CHUNK, SYNC_INTERVAL
from fairseq_gnmt.criterions.projected_loss import projected_label_smoothed_loss
from gnmt.network.config import NetworkConfig
from gnmt.network.gnmt import GNMTNetwork
from gnmt.network.placement import Placement

PROCESSES = 2
WARM_UP = 1
MESSAGE_BYTES = (1 << 12, 1 << 16, 1 << 20, 1 << 23, 1 << 25)
FIRST_WORD = 4  # ids below it are special
SMOOTHING = 0.1
MEGABYTE = 1e6


class Parts(NamedTuple):
    """Seconds of the parts of an update of one of two processes, while the other one does the same."""

    recurrence: float  # forward and backward of half the batch, without the output layer
    softmax: float  # output layer and loss of half the batch
    half_softmax: float  # of the whole batch, for half of the symbols
    adam: float  # of all parameters
    copy: float  # of all parameters in memory


class Measured(NamedTuple):
    """Seconds of whole updates of the batch."""

    one_thread: float
    two_threads: float
    layers: float  # one process with --layer-devices cpu,cpu
    data_parallel: float  # two processes


class Calibration(NamedTuple):
    """Everything that was measured on this machine."""

    parts: Parts
    link: Link
    measured: Measured


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

    def loss(self, features: Tensor, target: Tensor, symbols: int) -> Tensor:
        """Returns the loss of features (N, H) with an output layer of the first symbols."""
        output = self.model.decoder.output_projection
        weight, bias = output.weight[:symbols], output.bias[:symbols]
        return projected_label_smoothed_loss(features, weight, bias, target % symbols, SMOOTHING)[0]

    def run_recurrence(self, sentences: int) -> None:
        self.model.zero_grad(set_to_none=True)
        self.features(sentences).sum().backward()

    def run_softmax(self, sentences: int, symbols: int) -> None:
        target = self.target[:sentences].flatten()
        features = torch.ones(len(target), self.model.config.hidden_size, requires_grad=True)
        self.model.zero_grad(set_to_none=True)
        self.loss(features, target, symbols).backward()

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
            sum_gradients(self.model)
        self.optimizer.step()


def sum_gradients(model: nn.Module) -> None:
    """Sums the gradients of the processes in one buffer, as fairseq's legacy_ddp."""
    gradients = [parameter.grad for parameter in model.parameters()]
    buffer = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(buffer)
    for gradient, part in zip(gradients, buffer.split([gradient.numel() for gradient in gradients])):
        gradient.copy_(part.view_as(gradient))


def median_seconds(run: Callable[[], None], repetitions: int, together: bool = False) -> float:
    """Returns the median time of a call; with several processes, they begin each one together."""
    seconds = []
    for _ in range(WARM_UP + repetitions):
        if together:
            dist.barrier()
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[WARM_UP:])


def fitted_link(sizes: Sequence[int], seconds: Sequence[float], processes: int) -> Link:
    """Returns the link whose ring gives the measured times of sums, by least squares of relative deviations.

    2 (n - 1) (latency + size / (n rate)) is linear in the latency and in 1 / rate.
    """
    messages = 2 * (processes - 1)
    rows = torch.tensor([[messages / t, messages * size / processes / t] for size, t in zip(sizes, seconds)]).double()
    latency, per_byte = torch.linalg.lstsq(rows, torch.ones(len(sizes), 1).double()).solution[:, 0].tolist()
    return Link("gloo", rate=1 / per_byte, latency=max(latency, 0.0), source="measured here")


def measure(network: Network, batch: Batch, repetitions: int) -> Calibration:
    """Measures the parts with two processes, and whole updates with one and with two."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = (folder, network, batch, repetitions)
        torch.multiprocessing.spawn(_measure_in_process, arguments, nprocs=PROCESSES)
        found = json.loads(Path(folder, "measured.json").read_text(encoding="utf-8"))
    link = fitted_link(MESSAGE_BYTES, found["messages"], PROCESSES)
    one, two, layers = _measure_alone(network, batch, repetitions)
    return Calibration(Parts(**found["parts"]), link, Measured(one, two, layers, found["data_parallel"]))


def _measure_alone(network: Network, batch: Batch, repetitions: int) -> Tuple[float, float, float]:
    """Returns the times of an update with one thread, with two, and with layers on two CPU devices."""
    threads = torch.get_num_threads()
    found = []
    for number, devices in ((1, 1), (2, 1), (1, 2)):
        torch.set_num_threads(number)
        training = Training(network, batch)
        if devices > 1:
            training.model.place(Placement((torch.device("cpu"),) * devices))
        found.append(median_seconds(lambda one=training: one.run_update(batch.sentences), repetitions))
    torch.set_num_threads(threads)
    return found[0], found[1], found[2]


def _measure_in_process(rank: int, folder: str, network: Network, batch: Batch, repetitions: int) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=PROCESSES)
    training, half = Training(network, batch), batch.sentences // PROCESSES
    flat = torch.ones(parameters(network))
    other = torch.empty_like(flat)

    def seconds(run: Callable[[], None]) -> float:
        return median_seconds(run, repetitions, together=True)

    parts = Parts(
        recurrence=seconds(lambda: training.run_recurrence(half)),
        softmax=seconds(lambda: training.run_softmax(half, network.vocabulary)),
        half_softmax=seconds(lambda: training.run_softmax(batch.sentences, network.vocabulary // PROCESSES)),
        adam=seconds(training.run_adam),
        copy=seconds(lambda: other.copy_(flat)),
    )
    buffers = [torch.ones(size // FLOAT_BYTES) for size in MESSAGE_BYTES]
    messages = [seconds(lambda buffer=buffer: dist.all_reduce(buffer)) for buffer in buffers]
    whole = seconds(lambda: training.run_update(half, all_reduce=True))
    if rank == 0:
        found = {"parts": parts._asdict(), "messages": messages, "data_parallel": whole}
        Path(folder, "measured.json").write_text(json.dumps(found), encoding="utf-8")
    dist.barrier()
    dist.destroy_process_group()


def predictions(calibration: Calibration, network: Network, batch: Batch) -> Dict[str, float]:
    """Returns the seconds in which two processes with one thread each learn a batch, half of it each, by way."""
    parts, link = calibration.parts, calibration.link
    weights, split = parameters(network), output_weights(network)
    compute = parts.recurrence + parts.softmax

    def summed(numbers: float) -> float:
        return all_reduce_seconds(link, FLOAT_BYTES * numbers, PROCESSES)

    tokens = batch.sentences * batch.target
    features = tokens * network.hidden
    chunks = -(-tokens // LOSS_CHUNK)
    statistics_of_loss = chunks * (summed(tokens / chunks) + summed(3 * tokens / chunks))
    gathered = all_gather_seconds(link, FLOAT_BYTES * features, PROCESSES)
    return {
        "data parallel": compute + summed(weights) + parts.adam,
        "softmax split": parts.recurrence
        + parts.half_softmax
        + gathered
        + summed(features)
        + statistics_of_loss
        + summed(weights - split)
        + parts.adam * (1 - split / weights / PROCESSES),
        "BMUF": compute + parts.adam + summed(weights) / SYNC_INTERVAL,
        # Two updates, one of each half, for which the cores of the replicas also do the servers' work.
        "asynchronous": compute + parts.adam + 2 * parts.copy,
    }


def rows_of(calibration: Calibration, network: Network, batch: Batch) -> List[Dict[str, str]]:
    """Returns the rows of a table: milliseconds per update of the batch, predicted and measured."""
    measured = {
        "one process, 1 thread": calibration.measured.one_thread,
        "one process, 2 threads": calibration.measured.two_threads,
        "one process, layers on cpu,cpu": calibration.measured.layers,
        "data parallel": calibration.measured.data_parallel,
    }
    predicted = predictions(calibration, network, batch)
    return [
        {
            "way": way,
            "predicted ms": f"{1000 * predicted[way]:.0f}" if way in predicted else "-",
            "measured ms": f"{1000 * measured[way]:.0f}" if way in measured else "-",
            "sentences/s": f"{batch.sentences / measured.get(way, predicted.get(way, 0.0)):.0f}",
        }
        for way in dict.fromkeys([*measured, *predicted])
    ]


def describe(calibration: Calibration) -> str:
    """Returns what was measured in one sentence for each group."""
    parts, link = calibration.parts, calibration.link
    named = ", ".join(f"{name.replace('_', ' ')} {1000 * value:.1f} ms" for name, value in parts._asdict().items())
    return (
        f"Parts of an update, in each of two processes: {named}.\n"
        f"gloo: {1e6 * link.latency:.0f} us and {link.rate / MEGABYTE:.0f} MB/s for each message of a ring."
    )
