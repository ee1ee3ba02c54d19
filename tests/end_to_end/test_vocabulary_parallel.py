"""Tests training with an output layer divided over two processes.

Expected parameters and logs come from one process.
"""

import json
from pathlib import Path
from typing import List, NamedTuple

import pytest
import torch
from commands import PLUGIN, Done, Running, start, succeed
from test_distributed import arguments, free_address, parameters
from tiny_corpora import TASK, digits

TWO = "--vocabulary-parallel 2 --distributed-world-size 2 --distributed-no-spawn --distributed-backend gloo".split()
SETTINGS = ["--batch-size", 9, "--clip-norm", 0.1, "--update-freq", 2, "--save-interval-updates", 4]
TIED = ["--share-decoder-input-output-embed"]
PREVIOUS = ["--attention-query", "previous", "--activation-clip", 1.0]
BLEU = ["--eval-bleu", "--eval-bleu-args", '{"max_len_b": 6, "max_len_a": 0}']


def start_two(*command) -> List[Running]:
    address = ["--distributed-init-method", free_address()]
    return [start("train", *command, *TWO, *address, "--distributed-rank", rank) for rank in range(2)]


def run_two(*command) -> List[Done]:
    return [running.finish() for running in start_two(*command)]


def succeed_two(*command) -> str:
    """Runs two processes; returns the output of the first."""
    done = run_two(*command)
    assert [result.code for result in done] == [0, 0], "".join(result.text[-2500:] for result in done)
    return done[0].stdout


def succeed_train(*command) -> str:
    return succeed("train", *command)


def statistics(printed: str, kind: str) -> List[dict]:
    """Returns the logged numbers of one kind: train, train_inner or valid."""
    lines = (line.split(f" | {kind} | ") for line in printed.splitlines())
    return [json.loads(parts[1]) for parts in lines if len(parts) == 2]


def assert_close(actual: dict, expected: dict) -> None:
    """Compares weights: gradients are summed in another order, so Adam's steps differ by at most this fraction."""
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(
            actual[name], value, rtol=0, atol=1e-6, msg=lambda text, name=name: f"{name}: {text}"
        )


class Trainings(NamedTuple):
    """Training runs with one and two processes and the same command, and the output of their first processes."""

    command: list
    folder: Path
    printed: dict


@pytest.fixture(scope="module", params=[[], [*TIED, *PREVIOUS]], ids=["untied", "tied previous clipped"])
def trainings(request, tmp_path_factory) -> Trainings:
    folder, command = tmp_path_factory.mktemp("trainings"), [*SETTINGS, *request.param, *BLEU]
    printed = {
        "one": succeed("train", *arguments(folder / "one", *command)),
        "two": succeed_two(*arguments(folder / "two", *command)),
    }
    return Trainings(command, folder, printed)


def test_two_processes_end_with_the_state_of_one(trainings):
    """Compares weights and moments; gradients are clipped."""
    expected, actual = (
        torch.load(trainings.folder / name / "checkpoint_last.pt", weights_only=True) for name in ("one", "two")
    )
    assert_close(actual["model"], expected["model"])
    for index, moments in expected["last_optimizer_state"]["state"].items():
        for name, moment in moments.items():
            actual_moment = actual["last_optimizer_state"]["state"][index][name]
            torch.testing.assert_close(actual_moment, moment, rtol=0, atol=1e-5)
    assert float(statistics(trainings.printed["one"], "train")[0]["train_clip"]) > 0


@pytest.mark.parametrize("kind", ["train", "valid"])
def test_logs_equal_one_process(trainings, kind):
    actual, expected = (statistics(trainings.printed[name], kind) for name in ("two", "one"))
    assert len(actual) == len(expected) > 0
    names = ("loss", "nll_loss", "bleu", "gnorm", "clip", "bsz", "wpb")
    for actual_row, expected_row in zip(actual, expected):
        for name in (f"{kind}_{name}" for name in names):
            assert actual_row.get(name) == expected_row.get(name), name


@pytest.mark.parametrize("source, train", [("two", succeed_train), ("one", succeed_two)], ids=["by one", "by two"])
def test_another_number_of_processes_goes_on(trainings, source, train, tmp_path):
    train(*arguments(tmp_path, *trainings.command, "--restore-file", trainings.folder / source / "checkpoint_1_4.pt"))
    assert_close(parameters(tmp_path), parameters(trainings.folder / "one"))


def test_an_optimizer_that_looks_at_whole_matrices_is_refused(tmp_path):
    done = run_two(*arguments(tmp_path, "--batch-size", 8, "--optimizer", "adafactor"))
    assert all(result.code == 1 and "treats each weight alone" in result.stderr for result in done), done[0].text[
        -2000:
    ]


@pytest.mark.parametrize("killed", [0, 1])
def test_the_other_process_ends_with_a_sentence(tmp_path, killed):
    """A process has only its share of the weights, so it does not write crash.pt."""
    running = start_two(*arguments(tmp_path, "--batch-size", 8, "--max-update", 10**6, "--log-interval", 1))
    running[0].wait_for("train_inner")
    running[killed].process.kill()
    done = [process.finish() for process in running]
    other = done[1 - killed]
    assert other.code == 1, other.text[-2000:]
    assert "another process of this training has ended" in other.stderr and "Traceback" not in other.stderr
    assert not (tmp_path / "crash.pt").exists()


def test_hydra_accepts_the_option(tmp_path):
    address = free_address()
    running = [
        start(
            "hydra-train",
            "--config-dir",
            PLUGIN / "config",
            "--config-name",
            "gnmt_v2_tiny",
            f"common.user_dir={PLUGIN}",
            "common.cpu=true",
            f"task.data={digits()}",
            "+task.vocabulary_parallel=2",
            "optimization.max_update=2",
            f"checkpoint.save_dir={tmp_path}",
            f"hydra.run.dir={tmp_path}/{rank}",
            "distributed_training.distributed_world_size=2",
            "distributed_training.distributed_no_spawn=true",
            "distributed_training.distributed_backend=gloo",
            f"distributed_training.distributed_init_method='{address}'",
            f"distributed_training.distributed_rank={rank}",
        )
        for rank in range(2)
    ]
    done = [process.finish() for process in running]
    assert [result.code for result in done] == [0, 0], "".join(result.text[-2500:] for result in done)
    state = torch.load(tmp_path / "checkpoint_last.pt", weights_only=True)
    assert state["cfg"]["task"]["vocabulary_parallel"] == 2
    assert len(state["model"]["decoder.output_projection.bias"]) == len(state["model"]["decoder.embed_tokens.weight"])
    succeed("generate", digits(), *TASK, "--path", tmp_path / "checkpoint_last.pt", "--max-len-b", 5)
