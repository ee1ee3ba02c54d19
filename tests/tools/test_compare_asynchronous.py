"""Tests the comparison of asynchronous and synchronous training: options, results from logs, kills, and the picture.

Expected values are written by hand.
"""

import json
import math
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from png import file_size

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import compare_asynchronous  # noqa: E402
from benchmarking.convergence_curves import SIZE_INCHES, draw  # noqa: E402
from benchmarking.training_runs import (  # noqa: E402
    REPLICA, RESULT, SERVER, Point, Result, Run, kill_in_turn, result, train,
)  # fmt: skip
from gnmt.errors import UserError  # noqa: E402
from gnmt.plots.pictures import DOTS_PER_INCH, to_png  # noqa: E402

LOG = """2026 | INFO | fairseq_gnmt.asynchronous.ray_replicas | server: process 11
2026 | INFO | fairseq_gnmt.asynchronous.ray_replicas | replica: process 12
2026 | INFO | train_inner | epoch 001:      1 / 2 loss=8, nll_loss=3, ppl=8, staleness=0.5, num_updates=1, lr=0.1
2026 | WARNING | fairseq_gnmt.asynchronous.ray_replicas | a replica has died: another one takes its place
2026 | INFO | train_inner | epoch 001:      2 / 2 loss=7, nll_loss=2, ppl=4, staleness=0.75, num_updates=2, lr=0.1
2026 | INFO | valid | epoch 001 | valid on 'valid' subset | loss 9 | nll_loss 2 | ppl 4 | bleu 12.5 | num_updates 2
"""


def artificial_result(name: str, log_perplexity: float) -> Result:
    points = [Point(epoch, 10 * epoch, log_perplexity / epoch, 5.0 * epoch) for epoch in (1, 2, 3)]
    return Result(name, points, 60.0, 30, 1.0, {REPLICA: 0, SERVER: 0}, 0, 0)


def test_trainings_see_the_same_sentences():
    made = compare_asynchronous.runs([2, 4], [3, 2])
    assert [(run.name, run.options) for run in made[:3]] == [
        ("1 process", ["--update-freq", "1"]),
        ("2 replicas, asynchronous", ["--replicas", "2", "--asynchronous", "--update-freq", "1"]),
        ("2 batches an update", ["--update-freq", "2"]),
    ]
    assert made[-1].options[:2] == ["--replicas", "4"] and sorted(made[-1].deaths) == [REPLICA] * 3 + [SERVER] * 2
    assert [len(run.deaths) for run in made[:-1]] == [0] * 5
    assert len(compare_asynchronous.runs([2, 4], [0, 0])) == 5


def test_the_result_of_a_training(tmp_path):
    (tmp_path / "train.log").write_text(LOG)
    torch.save({"last_optimizer_state": {"state": {0: {"step": torch.tensor(2.0)}}}}, tmp_path / "checkpoint_last.pt")
    training = result("name", tmp_path, 1.26, {REPLICA: 1, SERVER: 0})
    assert training.points == [Point(1.0, 2, 2 * math.log(2), 12.5)]
    assert (training.seconds, training.updates, training.staleness, training.replaced, training.resumed) == (
        1.3,
        2,
        0.75,
        1,
        0,
    )
    row = compare_asynchronous.row(training)
    assert row["BLEU"] == "12.50" and row["killed"] == "1 + 0" and row["log-perplexity"] == "1.386"


def test_a_finished_training_is_not_repeated(tmp_path):
    folder = tmp_path / "run"
    (tmp_path / "data").mkdir()
    with pytest.raises(UserError, match="the training run has failed: see .*output.log"):
        train(Run("run", []), tmp_path / "data", folder, [])
    assert "prepare" in (folder / "output.log").read_text()
    (folder / RESULT).write_text(json.dumps(artificial_result("run", 3.0)._asdict()))
    assert train(Run("run", []), tmp_path / "data", folder, []) == artificial_result("run", 3.0)


def test_only_processes_of_the_training_are_killed(tmp_path):
    """The log contains the ids of a process that is not a replica, and of one that has a replica's name."""
    other = subprocess.Popen(["sleep", "30"])
    replica = subprocess.Popen(["bash", "-c", "exec -a ray::Replica sleep 30"])
    training = subprocess.Popen(["sleep", "30"])
    log = tmp_path / "train.log"
    lines = [f" | replica: process {process.pid}\n" for process in (other, replica)]
    progress = " | INFO | fairseq_gnmt.asynchronous.trainer | update {} of 10, 0:00:09 left\n"
    try:
        while not Path(f"/proc/{replica.pid}/cmdline").read_bytes().startswith(b"ray::Replica"):
            pass
        text = "".join([*lines, progress.format(6)])
        code = f"import time; time.sleep(1); open({str(log)!r}, 'w').write({text!r})"
        writer = subprocess.Popen([sys.executable, "-c", code])
        assert kill_in_turn(training, log, [REPLICA]) == {REPLICA: 1, SERVER: 0}
        assert replica.wait() == -signal.SIGKILL and other.poll() is None and training.poll() is None
        writer.wait()
    finally:
        for process in (other, replica, training):
            process.kill()
            process.wait()


def test_the_picture(tmp_path):
    path = tmp_path / "curves.png"
    path.write_bytes(
        to_png(draw([artificial_result("1 process", 4.0), artificial_result("2 replicas, asynchronous", 5.0)]))
    )
    assert file_size(path) == tuple(round(side * DOTS_PER_INCH) for side in SIZE_INCHES)
