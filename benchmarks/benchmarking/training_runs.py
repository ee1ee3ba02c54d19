"""Training runs by `gnmt train` in separate processes, and results from their logs."""

import json
import math
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Dict, List, NamedTuple, Sequence

import torch

from gnmt.commands.train import LOG
from gnmt.errors import UserError
from gnmt.training.training_log import INNER, read_log

POLL_SECONDS = 0.1
RESULT = "result.json"
PROGRESS = re.compile(r"INFO \| fairseq_gnmt\.asynchronous\.trainer \| update (\d+) of (\d+)")
REPLICA, SERVER = "replica", "server"


class Run(NamedTuple):
    """One training.

    Args:
        name: name in the picture, and of the folder.
        options: options of `gnmt train`.
        deaths: REPLICA or SERVER for each process that is killed, in this order.
    """

    name: str
    options: List[str]
    deaths: Sequence[str] = ()


class Point(NamedTuple):
    """Validation result after a number of epochs."""

    epochs: float
    updates: int
    log_perplexity: float  # nats per token
    bleu: float


class Result(NamedTuple):
    """Result of a training run."""

    name: str
    points: List[Point]
    seconds: float
    updates: int  # number of updates in the optimizer's state
    staleness: float  # of the last record
    killed: Dict[str, int]
    replaced: int  # number of replaced replicas
    resumed: int  # number of resumptions from a checkpoint after the death of a server


def train(run: Run, data: Path, folder: Path, options: Sequence[str]) -> Result:
    """Runs `gnmt train`, and kills its processes at equal intervals of updates.

    Returns:
        Its result, also of a run that was finished before.

    Raises:
        UserError: the training has failed.
    """
    if (folder / RESULT).exists():
        content = json.loads((folder / RESULT).read_text(encoding="utf-8"))
        return Result(**{**content, "points": [Point(*point) for point in content["points"]]})
    command = [sys.executable, "-m", "gnmt", "train", str(data), "--save-dir", str(folder), *options, *run.options]
    folder.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    with open(folder / "output.log", "ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        try:
            killed = kill_in_turn(process, folder / LOG, run.deaths)
            status = process.wait()
        finally:
            process.terminate()
            process.wait()
    if status:
        raise UserError(f"the training {run.name} has failed: see {folder / 'output.log'}.")
    run_result = result(run.name, folder, time.monotonic() - start, killed)
    (folder / RESULT).write_text(json.dumps(run_result._asdict()), encoding="utf-8")
    return run_result


def kill_in_turn(process: subprocess.Popen, log: Path, deaths: Sequence[str]) -> Dict[str, int]:
    """Kills one process after another; returns the number of killed processes by kind.

    Args:
        process: `gnmt train`.
        log: its log file.
        deaths: kind of each process to kill, REPLICA or SERVER.
    """
    choose, killed = random.Random(len(deaths)), {REPLICA: 0, SERVER: 0}
    offset = log.stat().st_size if log.exists() else 0
    for position, kind in enumerate(deaths, 1):
        while process.poll() is None:
            text = log.read_bytes()[offset:].decode("utf-8", errors="replace") if log.exists() else ""
            candidates = [number for number in _processes(text, kind) if _is(number, kind)]
            if candidates and _progress(text) >= position / (len(deaths) + 1):
                os.kill(choose.choice(candidates), signal.SIGKILL)
                killed[kind] += 1
                break
            time.sleep(POLL_SECONDS)
    return killed


def result(name: str, folder: Path, seconds: float, killed: Dict[str, int]) -> Result:
    """Returns the result of a finished training run from its log and its last checkpoint.

    Args:
        name: name of the training run.
        folder: folder of its checkpoints and its log.
        seconds: duration.
        killed: number of killed processes by kind.
    """
    log = folder / LOG
    records, text = read_log(log), log.read_text(encoding="utf-8", errors="replace")
    points = [
        Point(record.epochs, record.updates, record.stats["nll_loss"] * math.log(2), record.stats.get("bleu", math.nan))
        for record in records
        if record.kind == "valid"
    ]
    staleness = [
        record.stats["staleness"] for record in records if record.kind == INNER and "staleness" in record.stats
    ]
    state = torch.load(folder / "checkpoint_last.pt", weights_only=True)["last_optimizer_state"]["state"]
    return Result(
        name=name,
        points=points,
        seconds=round(seconds, 1),
        updates=int(state[0]["step"]),
        staleness=staleness[-1] if staleness else 0.0,
        killed=killed,
        replaced=text.count("another one takes its place"),
        resumed=text.count("continues from its last checkpoint"),
    )


def _processes(log: str, kind: str) -> List[int]:
    return [int(number) for number in re.findall(rf"\| {kind}: process (\d+)", log)]


def _is(process: int, kind: str) -> bool:
    """Returns True if a process is alive and is the process named in the log."""
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().startswith(f"ray::{kind.capitalize()}".encode("ascii"))
    except OSError:
        return False


def _progress(log: str) -> float:
    """Returns the share of finished updates, from 0 to 1, according to the last such line of the log."""
    matches = PROGRESS.findall(log)
    return int(matches[-1][0]) / int(matches[-1][1]) if matches else 0.0
