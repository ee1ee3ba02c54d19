"""Tests training in two processes. Expected parameters come from one process with the same batches."""

import json
import re
import socket
from pathlib import Path
from typing import List

import pytest
import torch
from commands import Running, start, succeed
from tiny_corpora import MODEL, OBJECTIVE, TASK, digits

# Options for CPU processes; on GPUs fairseq-train starts one process for each by itself.
TWO = "--distributed-world-size 2 --distributed-no-spawn --distributed-backend gloo --ddp-backend legacy_ddp".split()


def free_address() -> str:
    """Returns an address at which two processes of a training can connect."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{free.getsockname()[1]}"


def start_two(*arguments, **options) -> List[Running]:
    address = free_address()
    return [
        start("train", *arguments, *TWO, "--distributed-rank", rank, "--distributed-init-method", address, **options)
        for rank in range(2)
    ]


def run_two(*arguments, **options) -> List[int]:
    """Returns the exit codes of both processes."""
    return [running.finish().code for running in start_two(*arguments, **options)]


def arguments(folder: Path, *more) -> list:
    return [
        digits(),
        *TASK,
        *MODEL,
        *OBJECTIVE,
        "--lr",
        "2e-3",
        "--dropout",
        0,
        "--max-update",
        8,
        "--save-dir",
        folder,
        "--no-epoch-checkpoints",
        "--log-format",
        "json",
        *more,
    ]


def parameters(folder: Path) -> dict:
    return torch.load(folder / "checkpoint_last.pt", weights_only=True)["model"]


@pytest.mark.parametrize("average", [["--clip-norm", 0.2], ["--clip-norm", 0.8, "--sentence-avg"]])
def test_half_the_batch_each_is_the_whole_batch(tmp_path, average):
    # Batch k of the one process contains batches 2k and 2k + 1 of the two processes.
    settings = ["--batch-size", 8, *average]
    printed = succeed("train", *arguments(tmp_path / "one", *settings, "--update-freq", 2))
    assert float(re.search(r'"train_clip": "([\d.]+)"', printed)[1]) > 0  # percent of the updates
    assert run_two(*arguments(tmp_path / "two", *settings)) == [0, 0]
    expected, actual = parameters(tmp_path / "one"), parameters(tmp_path / "two")
    for name, value in expected.items():
        # Gradients are summed in another order, so Adam's steps differ by at most this fraction.
        torch.testing.assert_close(actual[name], value, rtol=0, atol=1e-6)


def test_every_validation_sentence_counts_once(tmp_path):
    """13 sentences are divided over two processes; losses and BLEU equal one process."""
    logged = []
    for launch in (lambda *command: [start("train", *command)], start_two):
        command = arguments(
            tmp_path / str(len(logged)),
            "--lr",
            0,
            "--init-range",
            0.3,
            "--max-update",
            1,
            "--batch-size",
            8,
            "--batch-size-valid",
            4,
            "--eval-bleu",
            "--eval-bleu-args",
            '{"max_len_b": 6, "max_len_a": 0}',
        )
        done = [running.finish() for running in launch(*command)]
        assert [result.code for result in done] == [0] * len(done), done[0].text[-3000:]
        line = next(line for line in done[0].stdout.splitlines() if " | valid | " in line)
        stats = json.loads(line.split(" | ")[-1])
        logged.append([stats[f"valid_{name}"] for name in ("loss", "nll_loss", "bleu")])
    assert logged[0] == logged[1]
