"""Tests asynchronous training as a command.

With one replica, checkpoints must equal fairseq-train's; other tests end replicas and servers.
"""

import os
import re
import signal
from pathlib import Path
from typing import List

import pytest
import torch
from commands import Running, run, start, succeed
from processes import is_running, wait_until
from tiny_corpora import MODEL, OBJECTIVE, TASK, digits

from gnmt.training.training_log import parse_line

pytest.importorskip("ray", reason="needs the extra [ray]")

pytestmark = pytest.mark.timeout(1200)


def arguments(folder: Path, *more) -> list:
    return [
        digits(), *TASK, *MODEL, *OBJECTIVE, "--lr", "2e-3", "--save-dir", folder, "--no-epoch-checkpoints", "--log-format",
        "simple", "--log-interval", 1, "--dropout", 0.2, "--batch-size", 16, *more,
    ]  # fmt: skip


def checkpoint(folder: Path, name: str = "checkpoint_last.pt") -> dict:
    return torch.load(folder / name, weights_only=True)


def assert_equal_states(actual: dict, expected: dict) -> None:
    """Compares parameters and optimizer states."""
    for name, value in actual["model"].items():
        assert torch.equal(value, expected["model"][name]), name
    actual, expected = actual["last_optimizer_state"], expected["last_optimizer_state"]
    assert actual["param_groups"] == expected["param_groups"] and actual["state"].keys() == expected["state"].keys()
    for index, moments in actual["state"].items():
        assert moments.keys() == expected["state"][index].keys()
        for name, value in moments.items():
            assert (
                torch.equal(value, expected["state"][index][name])
                and value.dtype == expected["state"][index][name].dtype
            )


def figures(log: str) -> List[str]:
    """Returns losses, gradient norms and learning rates from updates and validations."""
    return re.findall(r"(?<![a-z])(?:loss|nll_loss|gnorm|lr)[= ]\S+", log)


@pytest.mark.parametrize(
    "settings",
    [
        ["--clip-norm", 0.3, "--update-freq", 2, "--sentence-avg"],
        "--optimizer gnmt_adam_then_sgd --adam-updates 5 --lr-scheduler gnmt_adam_then_sgd --sgd-lr 0.1".split(),
    ],
    ids=["clipped", "adam then sgd"],
)
def test_one_replica_equals_fairseq_train(tmp_path, settings):
    command = [*settings, "--max-update", 12]
    printed = succeed("train", *arguments(tmp_path / "one", *command))
    replica = ["--asynchronous-replicas", 1, "--parameter-servers", 2]
    logged = succeed("train", *arguments(tmp_path / "replica", *command, *replica))
    assert_equal_states(checkpoint(tmp_path / "one"), checkpoint(tmp_path / "replica"))
    assert figures(printed) == figures(logged) and len(figures(printed)) > 40


def test_checkpoints_are_ordinary_ones(tmp_path):
    """Training resumes with one replica, fairseq-train resumes from that, and two replicas give a model that
    translates.
    """
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for folder, replicas, updates in ((whole, 0, 30), (parts, 0, 8), (parts, 1, 24), (parts, 0, 30)):
        succeed("train", *arguments(folder, "--asynchronous-replicas", replicas, "--max-update", updates))
    assert_equal_states(checkpoint(whole), checkpoint(parts))
    two = tmp_path / "two"
    more = ["--asynchronous-replicas", 2, "--max-update", 40, "--log-format", "json"]
    printed = succeed("train", *arguments(two, *more, "--eval-bleu", "--eval-bleu-args", '{"beam": 1}'))
    assert checkpoint(two)["optimizer_history"][-1]["num_updates"] == 40
    assert all(float(moments["step"]) == 40 for moments in checkpoint(two)["last_optimizer_state"]["state"].values())
    records = [record for line in printed.splitlines() if (record := parse_line(line))]
    inner = [record for record in records if record.kind == "train_inner"]
    assert [record.updates for record in inner] == list(range(1, 41))
    learnt = [record.stats for record in inner if "staleness" in record.stats]  # other batches are only handed out
    assert learnt[-1]["loss"] < learnt[0]["loss"] and max(stats["staleness"] for stats in learnt) >= 1
    assert [record.updates for record in records if record.kind == "valid"] == [19, 38, 40]
    assert re.search(r"update 30 of 40, \d+:\d\d:\d\d left; staleness up to [12]; 0 replicas replaced", printed)
    translated = succeed(
        "generate", digits(), *TASK, "--path", two / "checkpoint_best.pt", "--source-lang", "en", "--target-lang", "de"
    )
    assert "BLEU" in translated


# -- killed processes


def processes(running: Running, kind: str) -> List[int]:
    """Returns the ids of the running processes."""
    started = [int(number) for number in re.findall(rf"{kind}: process (\d+)", running.output())]
    return [number for number in started if is_running(number)]


def wait_until_ended(numbers: List[int]) -> None:
    wait_until(lambda: not any(map(is_running, numbers)), show=lambda: numbers)


@pytest.mark.slow
def test_deaths_of_replicas_and_servers_lose_no_update_beyond_the_last_checkpoint(tmp_path):
    settings = ["--asynchronous-replicas", 2, "--parameter-servers", 2, "--save-interval-updates", 25]
    running = start("train", *arguments(tmp_path, *settings, "--max-update", 200, "--disable-validation"))
    for update in (10, 30, 60):
        running.wait_for(f"num_updates={update},")
        os.kill(processes(running, "replica")[0], signal.SIGKILL)
    running.wait_for("update 110 of")
    os.kill(processes(running, "server")[-1], signal.SIGKILL)
    running.wait_for("continues from its last checkpoint")
    done = running.finish()
    assert done.code == 0 and "Traceback" not in done.text, done.text[-4000:]
    before, after = done.stdout.split("continues from its last checkpoint")
    assert before.count("another one takes its place") == 3
    saved = max(int(updates) for updates in re.findall(r"Saved checkpoint .* @ (\d+) updates", before))
    assert saved >= 100 and f"@ {saved} updates)" in after.split("Loaded checkpoint", 1)[1].splitlines()[0]
    last = checkpoint(tmp_path)
    assert last["optimizer_history"][-1]["num_updates"] == 200
    assert all(float(moments["step"]) == 200 for moments in last["last_optimizer_state"]["state"].values())
    wait_until_ended([*map(int, re.findall(r"(?:replica|server): process (\d+)", done.stdout))])


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_when_the_training_is_ended(tmp_path, number):
    running = start("train", *arguments(tmp_path, "--asynchronous-replicas", 2, "--max-update", 100_000))
    running.wait_for("num_updates=10,")
    numbers = processes(running, "replica") + processes(running, "server")
    assert len(numbers) == 3
    os.kill(running.process.pid, number)
    done = running.finish()
    assert done.code == -number and "Traceback" not in done.text, done.text[-4000:]
    wait_until_ended(numbers)


def test_an_error_in_a_replica_is_the_error_of_the_training(tmp_path):
    growth = "--optimizer gnmt_adam_then_sgd --lr-scheduler gnmt_adam_then_sgd --adam-updates 0 --sgd-lr 1000".split()
    growth += ["--weight-decay", 1000, "--clip-norm", 0]  # each update multiplies the parameters by about -10^6
    done = run("train", *arguments(tmp_path, "--asynchronous-replicas", 1, *growth, "--max-update", 50))
    assert done.code == 1 and "FloatingPointError" in done.stderr and "gradients are Nan/Inf" in done.stderr
