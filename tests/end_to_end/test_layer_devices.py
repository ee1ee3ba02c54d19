"""Tests --layer-devices on CPU devices, alone and with data parallelism.

Expected values come from training on one device.
"""

import re
import socket
from pathlib import Path

import pytest
import torch
from commands import run, start, succeed
from tiny_corpora import MODEL, OBJECTIVE, TASK, digits

LAYERS = ["--layer-devices", "cpu,cpu,cpu", "--time-chunks", 3]


def arguments(folder: Path, *more) -> list:
    settings = "--lr 2e-3 --batch-size 8 --max-update 6 --no-epoch-checkpoints --log-format json".split()
    return [digits(), *TASK, *MODEL, *OBJECTIVE, *settings, "--save-dir", folder, *more]


def parameters(folder: Path) -> dict:
    return torch.load(folder / "checkpoint_last.pt", weights_only=True)["model"]


def assert_equal(actual: dict, expected: dict, tolerance: float) -> None:
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(actual[name], value, rtol=0, atol=tolerance, msg=name)


def test_a_training_equals_that_on_one_device_and_can_go_on_there(tmp_path):
    """With dropout and BLEU; the last updates run on one device from the checkpoint of several."""
    bleu = ["--eval-bleu", "--eval-bleu-args", '{"max_len_b": 6, "max_len_a": 0}']
    printed = succeed("train", *arguments(tmp_path / "one", "--dropout", 0.3, *bleu))
    placed = succeed("train", *arguments(tmp_path / "placed", "--dropout", 0.3, *bleu, *LAYERS))
    losses = [re.findall(r'"valid_(?:loss|bleu)": "([\d.]+)"', text) for text in (printed, placed)]
    assert losses[0] == losses[1] and len(losses[0]) == 2
    # Gradients are summed chunk by chunk, so Adam's steps differ by at most this fraction.
    assert_equal(parameters(tmp_path / "placed"), parameters(tmp_path / "one"), 1e-5)
    for folder in ("one", "placed"):
        succeed("train", *arguments(tmp_path / folder, "--dropout", 0.3, "--max-update", 9))
    assert_equal(parameters(tmp_path / "placed"), parameters(tmp_path / "one"), 1e-5)


@pytest.mark.parametrize("backend", ["pytorch_ddp", "legacy_ddp"])
def test_two_replicas_equal_one_process_with_twice_the_batch(tmp_path, backend):
    """The gradients of some updates are clipped."""
    average = ["--dropout", 0, "--clip-norm", 0.2]
    succeed("train", *arguments(tmp_path / "one", *average, "--update-freq", 2))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    processes = f"--distributed-world-size 2 --distributed-no-spawn --distributed-backend gloo --ddp-backend {backend}"
    two = [
        start("train", *arguments(tmp_path / "two", *average, *LAYERS), *processes.split(), "--distributed-rank", rank,
              "--distributed-init-method", address)
        for rank in range(2)
    ]  # fmt: skip
    done = [running.finish() for running in two]
    assert [result.code for result in done] == [0, 0], done[0].text[-3000:]
    assert_equal(parameters(tmp_path / "two"), parameters(tmp_path / "one"), 1e-6)


@pytest.mark.parametrize("precision", [["--bf16"], ["--fp16", "--fp16-no-flatten-grads"], ["--memory-efficient-fp16"]])
def test_half_precision(tmp_path, precision):
    """After one epoch in half precision the loss is close to training on one device."""
    logged = []
    for options in ([], LAYERS):
        folder = tmp_path / str(len(logged))
        printed = succeed("train", *arguments(folder, *precision, "--fp16-init-scale", 4, "--dropout", 0, *options))
        logged.append(float(re.search(r'"valid_loss": "([\d.]+)"', printed)[1]))
    assert logged[1] == pytest.approx(logged[0], rel=0.01)


@pytest.mark.parametrize(
    "options, words",
    [
        (["--time-chunks", 3], "--time-chunks lets devices overlap: give --layer-devices, too"),
        (["--layer-devices", "cpu,cpu", "--time-chunks", 0], "--time-chunks is 0, but must be at least 1"),
        (["--layer-devices", "cuda:99"], "has cuda:99, but this machine has"),
        (["--layer-devices", "cpu,cpu,cpu,cpu"], "4 devices, but the network has 3 layers"),
        (["--layer-devices", "cpu,cpu", "--fp16"], "needs --fp16-no-flatten-grads"),
        (["--layer-devices", "cpu,cpu", "--optimizer", "adam"], "cannot clip gradients on several devices"),
    ],
)
def test_what_cannot_work_is_refused_before_the_first_update(tmp_path, options, words):
    if torch.cuda.is_available() and "cuda:99" not in words:
        pytest.skip("the messages differ where there are GPUs")
    done = run("train", *arguments(tmp_path, *options))
    assert done.code == 1 and done.stderr.count("error: ") == 1
    assert words in done.stderr.splitlines()[-1]
