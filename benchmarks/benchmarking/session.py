"""One run of a benchmark: starts the contenders, compares their results, and measures them alternately."""

import os
import sys
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence

from benchmarking.alternation import Contender, Worker, alternate
from benchmarking.command_line import MATRIX_PRODUCT
from benchmarking.contenders.matrix_product import OPERATIONS
from benchmarking.figures import Spread, pairwise_ratio, spread, totals

Check = Callable[[List[Worker]], Any]


class Measured(NamedTuple):
    names: List[str]  # of the contenders, without the matrix product
    seconds: Dict[str, List[List[float]]]  # [name][repetition][batch]
    peaks: Dict[str, float]  # MiB, in the rounds
    matrix_product: List[float]  # seconds of each
    others: Optional[float]  # mean number of cores that other programs used during the measurement
    checked: Any  # result of the check

    def total(self, name: str) -> Spread:
        """Returns the seconds of a repetition."""
        return spread(totals(self.seconds[name]))

    def ratio(self, name: str, base: str) -> Spread:
        """Returns the time of `name` divided by the time of `base`, repetition by repetition."""
        return pairwise_ratio(totals(self.seconds[name]), totals(self.seconds[base]))

    @property
    def peak_operations(self) -> float:
        """Operations per second of the fastest matrix product."""
        return OPERATIONS / min(self.matrix_product)

    def share_of_peak(self, name: str, operations: int) -> float:
        return operations / self.total(name).median / self.peak_operations


def set_threads(threads: int) -> None:
    """Sets the number of threads of workers that are started later, by the variables that libraries read on loading."""
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(threads)


def measure(contenders: Sequence[Contender], threads: int, warm_up: int, repetitions: int, check: Check) -> Measured:
    """Starts the contenders, checks their results, and measures them alternately.

    Args:
        contenders: contenders, including the matrix product.
        threads: number of threads of each contender.
        warm_up: number of rounds that are not counted.
        repetitions: number of counted rounds.
        check: called with the workers before the measurement; raises UserError if results differ.

    Raises:
        UserError: if a contender cannot be built, or the check fails.
    """
    set_threads(threads)
    print(f"starting {', '.join(contender.name for contender in contenders)}", file=sys.stderr)
    workers = [Worker(contender, threads) for contender in contenders]
    try:
        for worker in workers:
            worker.wait_until_built()
        checked = check([worker for worker in workers if worker.name != MATRIX_PRODUCT])
        for worker in workers:
            worker.call("forget_peak")
        seconds, foreign_load = alternate(workers, warm_up, repetitions)
        peaks = {worker.name: worker.call("peak") for worker in workers}
    finally:
        for worker in workers:
            worker.close()
    products = [product for round_seconds in seconds.pop(MATRIX_PRODUCT) for product in round_seconds]
    del peaks[MATRIX_PRODUCT]
    return Measured(list(seconds), seconds, peaks, products, foreign_load, checked)


def as_json(measured: Measured) -> Dict[str, Any]:
    """Returns the measurements that both benchmarks share; seconds[name][repetition][batch]."""
    return {
        "seconds": measured.seconds,
        "seconds_of_a_repetition": {name: measured.total(name)._asdict() for name in measured.names},
        "time_ratio_pair_by_pair": {
            name: {base: measured.ratio(name, base)._asdict() for base in measured.names if base != name}
            for name in measured.names
        },
        "peak_memory_mib": measured.peaks,
        "matrix_product": {"seconds": measured.matrix_product, "operations_a_second": measured.peak_operations},
        "cores_used_by_others": measured.others,
    }
