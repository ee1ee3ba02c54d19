"""Two processes share a batch and end with the parameters of one process."""
import socket
from pathlib import Path
from typing import List

import pytest
import torch
from commands import Running, run, start
from tiny_corpora import MODEL, OBJECTIVE, TASK, VALID, digits, scratch

# What CPU processes need; on GPUs fairseq-train starts one process for each by itself.
TWO = "--distributed-world-size 2 --distributed-no-spawn --distributed-backend gloo --ddp-backend legacy_ddp".split()


def start_two(*arguments, **options) -> List[Running]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    return [
        start("train", *arguments, *TWO, "--distributed-rank", rank, "--distributed-init-method", address, **options)
        for rank in range(2)
    ]


def run_two(*arguments, **options) -> List[int]:
    """Exit codes of both processes."""
    return [running.finish().code for running in start_two(*arguments, **options)]


def arguments(folder: Path, *more) -> list:
    return [
        digits(), *TASK, *MODEL, *OBJECTIVE, "--lr", "2e-3", "--dropout", 0, "--max-update", 8, "--clip-norm", 0.5,
        "--save-dir", folder, "--no-epoch-checkpoints", *more,
    ]


def parameters(folder: Path) -> dict:
    return torch.load(folder / "checkpoint_last.pt", weights_only=True)["model"]


@pytest.mark.parametrize("average", [[], ["--sentence-avg"]])
def test_half_the_batch_each_is_the_whole_batch(tmp_path, average):
    # Batch k of the one process is made of batches 2k and 2k + 1 of the two: the same sentences in each update.
    settings = ["--batch-size", 8, *average]
    assert run("train", *arguments(tmp_path / "one", *settings, "--update-freq", 2)).code == 0
    assert run_two(*arguments(tmp_path / "two", *settings)) == [0, 0]
    one, two = parameters(tmp_path / "one"), parameters(tmp_path / "two")
    for name, value in one.items():
        # Gradients are summed in another order; Adam turns that into at most this much of a step.
        torch.testing.assert_close(two[name], value, rtol=0, atol=1e-6)


def test_clipping_acts_in_this_test(tmp_path):
    """Without it the parameters are others, so the test above has seen it."""
    for folder, clip in (("clipped", 0.5), ("free", 0)):
        assert run("train", *arguments(tmp_path / folder, "--batch-size", 16, "--clip-norm", clip)).code == 0
    clipped, free = parameters(tmp_path / "clipped"), parameters(tmp_path / "free")
    assert any((clipped[name] - value).abs().max() > 1e-4 for name, value in free.items())
