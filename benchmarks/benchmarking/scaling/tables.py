"""Tables of the predictions for each number of devices."""

from typing import Dict, List, Optional, Sequence

from benchmarking.scaling.costs import Batch
from benchmarking.scaling.machines import GNMT_PAPER, PAPER_MACHINES
from benchmarking.scaling.schedules import Layers
from benchmarking.scaling.parallelism import (
    STRATEGIES,
    Estimate,
    Setting,
    asynchronous,
    one_replica,
    shared_batch,
    stops_paying,
)

COUNTS = (1, 2, 4, 8, 16, 32, 64)
PAPER_BATCH = Batch(128, 28, 28)  # WMT14 English-French
PAPER_REPLICAS, PAPER_DEVICES, PAPER_CHUNKS = 12, 8, 8
PAPER_UPDATES = 2_000_000  # 1.2 million, then 800,000 with halved rates: section 8.3
PAPER_DAYS = 6
DAY = 24 * 3600
GIGABYTE = 1e9


def estimates(setting: Setting, counts: Sequence[int], same_batch: bool) -> Dict[str, List[Optional[Estimate]]]:
    """Returns the estimates of each strategy, in the order of the counts.

    Args:
        setting: cluster, network and batch.
        counts: numbers of devices.
        same_batch: divide the batch over all devices, instead of a batch for each replica.
    """
    return {
        name: [shared_batch(strategy, setting, count) if same_batch else strategy(setting, count) for count in counts]
        for name, strategy in STRATEGIES.items()
    }


def rows(setting: Setting, counts: Sequence[int] = COUNTS, same_batch: bool = False) -> List[Dict[str, str]]:
    """Returns a row for each number of devices: ms per update and sentences per second of each strategy.

    Args:
        setting: cluster, network and batch.
        counts: numbers of devices.
        same_batch: divide the batch over all devices, instead of a batch for each replica.
    """
    by_strategy = estimates(setting, counts, same_batch)
    table = []
    for index, count in enumerate(counts):
        row = {"devices": str(count)}
        for name, by_count in by_strategy.items():
            estimate = by_count[index]
            row[name] = "-" if estimate is None else speed(estimate)
        table.append(row)
    return table


def speed(estimate: Estimate) -> str:
    """Returns the time per update and the sentences per second, as in the tables."""
    return f"{1000 * estimate.update_seconds:.1f} ms, {estimate.sentences_per_second:,.0f}/s"


def memory_rows(setting: Setting, counts: Sequence[int] = COUNTS) -> List[Dict[str, str]]:
    """Returns a row for each number of devices: GB of the fullest device."""
    by_strategy = estimates(setting, counts, same_batch=False)
    return [
        {
            "devices": str(count),
            **{
                name: "-" if (estimate := by_count[index]) is None else f"{estimate.memory / GIGABYTE:.2f}"
                for name, by_count in by_strategy.items()
            },
        }
        for index, count in enumerate(counts)
    ]


def paying_row(setting: Setting) -> Dict[str, str]:
    """Returns, by strategy, the last number of devices that has 1.5 times the speed of half the devices."""
    return {
        "": "pays up to",
        **{name: str(stops_paying(strategy, setting, COUNTS)) for name, strategy in STRATEGIES.items()},
    }


def paper_rows() -> List[Dict[str, str]]:
    """Returns rows for the training of Wu et al. (2016), 12 asynchronous replicas of 8 GPUs, and for alternatives."""
    setting = Setting(PAPER_MACHINES, GNMT_PAPER, PAPER_BATCH)
    eight = Layers(PAPER_DEVICES, PAPER_CHUNKS)
    kinds = {
        "one GPU": (Layers(1, 1), 1),
        "layers on 8 GPUs, softmax on one": (eight, 1),
        "layers on 8 GPUs, softmax on all (the paper)": (eight, PAPER_DEVICES),
    }
    table = []
    for name, (layers, softmax_devices) in kinds.items():
        training = asynchronous(setting, PAPER_REPLICAS * layers.devices, layers, softmax_devices)
        days = PAPER_UPDATES * training.update_seconds / PAPER_REPLICAS / DAY
        table.append(
            {
                "replica": name,
                "forward and backward s": f"{one_replica(setting, layers, softmax_devices):.2f}",
                "s per update of a replica": f"{training.update_seconds:.2f}",
                "days for 2 million updates of 12 replicas": f"{days:.1f}",
                "GB of the fullest GPU": f"{training.memory / GIGABYTE:.1f}",
            }
        )
    seconds = PAPER_DAYS * DAY * PAPER_REPLICAS / PAPER_UPDATES
    table.append(
        {
            "replica": "published: about 6 days on 96 K80",
            "s per update of a replica": f"{seconds:.2f}",
            "days for 2 million updates of 12 replicas": str(PAPER_DAYS),
        }
    )
    return table
