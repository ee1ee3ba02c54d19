"""Alternation of contenders: each has its own process, and only one runs at a time."""

import importlib
import multiprocessing
import time
import traceback
from multiprocessing.connection import Connection
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

import torch
from tqdm import tqdm

from benchmarking.environment import busy_seconds
from benchmarking.memory import forget_peak
from gnmt.commands.speed import peak_mebibytes
from gnmt.errors import UserError


class Turn(NamedTuple):
    """One repetition of one contender."""

    seconds: List[float]  # of each batch
    processor_seconds: float  # of all its threads


class Contender(NamedTuple):
    """Module and setting of a contender: its `builder(setting)` returns an object with `batches` and `run(index)`."""

    name: str
    module: str
    builder: str
    setting: Any


class Worker:
    """Process of a contender. It runs calls of the contender's methods, and of `turn`, `peak` and `forget_peak`."""

    def __init__(self, contender: Contender, threads: int):
        self.name = contender.name
        context = multiprocessing.get_context("spawn")  # a fork would inherit memory and threads
        self._pipe, worker_end = context.Pipe()
        self._process = context.Process(target=_serve, args=(worker_end, contender, threads), daemon=True)
        self._process.start()
        worker_end.close()

    def wait_until_built(self) -> None:
        self._result()

    def call(self, method: str, *arguments: Any) -> Any:
        """Returns the result of a contender's method. Raises its UserError, or RuntimeError for other errors."""
        self._pipe.send((method, arguments))
        return self._result()

    def close(self) -> None:
        self._pipe.close()
        self._process.join(timeout=10)
        if self._process.is_alive():
            self._process.kill()

    def _result(self) -> Any:
        try:
            kind, result = self._pipe.recv()
        except EOFError:
            self._process.join()
            raise UserError(
                f"The process of {self.name} ended with code {self._process.exitcode}; -9 means that memory ran out: "
                "use smaller batches."
            ) from None
        if kind == "user error":
            raise UserError(f"{self.name}: {result}")
        if kind == "failure":
            raise RuntimeError(f"{self.name} failed:\n{result}")
        return result


def _serve(pipe: Connection, contender: Contender, threads: int) -> None:
    torch.set_num_threads(threads)
    running = None

    def result_of(method: str, arguments: tuple) -> Any:
        nonlocal running
        if method == "build":
            running = getattr(importlib.import_module(contender.module), contender.builder)(contender.setting)
            return None
        if method in STANDARD:
            return STANDARD[method](running, *arguments)
        return getattr(running, method)(*arguments)

    method, arguments = "build", ()
    while True:
        try:
            message = ("result", result_of(method, arguments))
        except UserError as error:
            message = ("user error", str(error))
        except KeyboardInterrupt:
            return
        except Exception:
            message = ("failure", traceback.format_exc())
        try:
            pipe.send(message)
            method, arguments = pipe.recv()
        except (EOFError, OSError, KeyboardInterrupt):  # the benchmark is over
            return


def _turn(running: Any) -> Turn:
    processor, seconds = time.process_time(), []
    for index in range(running.batches):
        wait_for_gpu()
        start = time.perf_counter()
        running.run(index)
        wait_for_gpu()
        seconds.append(time.perf_counter() - start)
    return Turn(seconds, time.process_time() - processor)


def wait_for_gpu() -> None:
    """Waits until the GPU has finished the work of this process, if it uses one."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


STANDARD = {
    "turn": _turn,
    "peak": lambda running: peak_mebibytes(),
    "forget_peak": lambda running: forget_peak(),
}


class Alternation(NamedTuple):
    """Measured seconds[name][repetition][batch], and the mean number of cores used by other programs (None: unknown)."""

    seconds: Dict[str, List[List[float]]]
    others: Optional[float]


def alternate(workers: Sequence[Worker], warm_up: int, repetitions: int) -> Alternation:
    """Runs the contenders in the order A B C A B C ..., once in each round. The first `warm_up` rounds are not counted.

    Args:
        workers: processes of the contenders.
        warm_up: number of rounds that are not counted.
        repetitions: number of counted rounds.
    """
    seconds: Dict[str, List[List[float]]] = {worker.name: [] for worker in workers}
    foreign = elapsed = 0.0
    busy_known = busy_seconds() is not None
    for round_number in tqdm(range(warm_up + repetitions), desc="rounds", unit="round"):
        for worker in workers:
            busy_before, start = busy_seconds(), time.perf_counter()
            timing = worker.call("turn")
            if round_number < warm_up:
                continue
            seconds[worker.name].append(timing.seconds)
            elapsed += time.perf_counter() - start
            if busy_known:
                foreign += busy_seconds() - busy_before - timing.processor_seconds
    return Alternation(seconds, max(foreign, 0.0) / elapsed if busy_known else None)
