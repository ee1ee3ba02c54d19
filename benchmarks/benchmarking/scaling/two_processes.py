"""Two processes on one machine: measured times of the parts of an update, and predicted times of whole updates."""

from typing import Dict, List, NamedTuple, Sequence

import torch

from benchmarking.scaling.costs import (
    FLOAT_BYTES, Batch, Link, Network, all_gather_seconds, all_reduce_seconds, output_weights, parameters,
)  # fmt: skip
from benchmarking.scaling.parallelism import LOSS_CHUNK, SYNC_INTERVAL

PROCESSES = 2
MEGABYTE = 1e6


class Parts(NamedTuple):
    """Seconds of the parts of an update of one of two processes, while the other one does the same."""

    recurrence: float  # forward and backward of half the batch, without the output layer
    softmax: float  # output layer and loss of half the batch
    half_softmax: float  # of the whole batch, for half of the vocabulary
    adam: float  # of all parameters
    copy: float  # of all parameters in memory


class Measured(NamedTuple):
    """Seconds of whole updates of the batch."""

    one_thread: float
    two_threads: float
    layers: float  # one process with --layer-devices cpu,cpu
    data_parallel: float  # two processes
    vocabulary_parallel: float  # two processes


class Calibration(NamedTuple):
    """All measurements on this machine."""

    parts: Parts
    link: Link
    measured: Measured


def fitted_link(sizes: Sequence[int], seconds: Sequence[float], processes: int) -> Link:
    """Returns the link that fits the measured times of sums in a ring, by least squares of relative deviations.

    2 (n - 1) (latency + size / (n rate)) is linear in the latency and in 1 / rate.

    Args:
        sizes: bytes of the sums.
        seconds: measured time of each sum.
        processes: number n of processes in the ring.
    """
    messages = 2 * (processes - 1)
    rows = torch.tensor([[messages / t, messages * size / processes / t] for size, t in zip(sizes, seconds)]).double()
    latency, per_byte = torch.linalg.lstsq(rows, torch.ones(len(sizes), 1).double()).solution[:, 0].tolist()
    return Link("gloo", rate=1 / per_byte, latency=max(latency, 0.0), source="measured here")


def predictions(calibration: Calibration, network: Network, batch: Batch) -> Dict[str, float]:
    """Returns, by strategy, the seconds per update of two processes with one thread and half of the batch each.

    Args:
        calibration: measured times of this machine.
        network: sizes of the network.
        batch: batch of both processes together.
    """
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
        "data parallelism": compute + summed(weights) + parts.adam,
        "vocabulary parallelism": parts.recurrence
        + parts.half_softmax
        + gathered
        + summed(features)
        + statistics_of_loss
        + summed(weights - split)
        + parts.adam * (1 - split / weights / PROCESSES),
        "BMUF": compute + parts.adam + summed(weights) / SYNC_INTERVAL,
        # Two updates, one of each half; the cores of the replicas also run the servers.
        "asynchronous": compute + parts.adam + 2 * parts.copy,
    }


def rows_of(calibration: Calibration, network: Network, batch: Batch) -> List[Dict[str, str]]:
    """Returns the rows of a table: milliseconds per update of the batch, predicted and measured.

    Args:
        calibration: measured times of this machine.
        network: sizes of the network.
        batch: batch of both processes together.
    """
    measured = {
        "one process, 1 thread": calibration.measured.one_thread,
        "one process, 2 threads": calibration.measured.two_threads,
        "one process, layers on cpu,cpu": calibration.measured.layers,
        "data parallelism": calibration.measured.data_parallel,
        "vocabulary parallelism": calibration.measured.vocabulary_parallel,
    }
    predicted = predictions(calibration, network, batch)
    return [
        {
            "strategy": strategy,
            "predicted ms": f"{1000 * predicted[strategy]:.0f}" if strategy in predicted else "-",
            "measured ms": f"{1000 * measured[strategy]:.0f}" if strategy in measured else "-",
            "sentences/s": f"{batch.sentences / measured.get(strategy, predicted.get(strategy, 0.0)):.0f}",
        }
        for strategy in dict.fromkeys([*measured, *predicted])
    ]


def describe(calibration: Calibration) -> str:
    """Returns the measurements, with one sentence for each group."""
    parts, link = calibration.parts, calibration.link
    part_times = ", ".join(f"{name.replace('_', ' ')} {1000 * value:.1f} ms" for name, value in parts._asdict().items())
    return (
        f"Parts of an update, in each of two processes: {part_times}.\n"
        f"gloo: {1e6 * link.latency:.0f} us and {link.rate / MEGABYTE:.0f} MB/s for each message of a ring."
    )
