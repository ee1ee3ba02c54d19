"""Tests scripts/average_checkpoints.py: its means are compared with means computed here, and translated by
fairseq-generate.
"""

import re
import resource
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from commands import ROOT, Done, succeed
from tiny_corpora import MODEL, OBJECTIVE, TASK, TEST, digits, scratch

from gnmt.checkpoints.averaging import average_checkpoints, last_checkpoints
from gnmt.errors import UserError


@pytest.fixture(scope="module")
def training() -> Path:
    """Fixture: a --save-dir with checkpoint1.pt, checkpoint2.pt and checkpoint3.pt."""
    folder = scratch() / "three-epochs"
    succeed(
        "train",
        digits(),
        *TASK,
        *MODEL,
        *OBJECTIVE,
        "--lr",
        "5e-3",
        "--batch-size",
        64,
        "--max-epoch",
        3,
        "--save-dir",
        folder,
        "--disable-validation",
    )
    return folder


def average(*arguments) -> Done:
    command = [sys.executable, str(ROOT / "scripts" / "average_checkpoints.py"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8")
    return Done(done.returncode, done.stdout, done.stderr)


def parameters(path: Path) -> dict:
    return torch.load(path, weights_only=True)["model"]


def test_mean_of_two_translates(training, tmp_path):
    output = tmp_path / "mean.pt"
    done = average("--save-dir", training, "--last", 2, "--output", output)
    assert done.code == 0 and "checkpoint2.pt, checkpoint3.pt" in done.stdout, done.stderr
    second, third = (parameters(training / f"checkpoint{epoch}.pt") for epoch in (2, 3))
    mean = parameters(output)
    for name, value in mean.items():
        assert value.dtype == third[name].dtype
        expected = (second[name].double() + third[name].double()) / 2
        torch.testing.assert_close(value.double(), expected, rtol=0, atol=1e-7)  # float32 has 7 digits
    assert any(not torch.equal(value, third[name]) for name, value in mean.items())
    shared = [mean[f"{half}.embed_tokens.weight"].data_ptr() for half in ("encoder", "decoder")]
    assert shared[0] == shared[1]  # tied weights are stored once, as in the checkpoints
    printed = succeed("generate", digits(), *TASK, "--path", output, "--max-len-b", 5)
    assert len(re.findall(r"^H-", printed, re.MULTILINE)) == TEST


def test_mean_of_one_is_itself(training, tmp_path):
    average_checkpoints([training / "checkpoint1.pt"], tmp_path / "mean.pt")
    original, mean = parameters(training / "checkpoint1.pt"), parameters(tmp_path / "mean.pt")
    assert original.keys() == mean.keys() and all(torch.equal(value, mean[name]) for name, value in original.items())


def test_the_clipping_range_is_taken_from_the_last_checkpoint(training, tmp_path):
    for epoch, limit in ((2, 4.0), (3, 1.0)):
        checkpoint = torch.load(training / f"checkpoint{epoch}.pt", weights_only=True)
        checkpoint["model"]["encoder.clip.range"] = torch.tensor([limit])
        torch.save(checkpoint, tmp_path / f"{epoch}.pt")
    average_checkpoints([tmp_path / "2.pt", tmp_path / "3.pt"], tmp_path / "mean.pt")
    assert parameters(tmp_path / "mean.pt")["encoder.clip.range"].tolist() == [1.0]


def test_newest_epochs_are_taken(training):
    assert [path.name for path in last_checkpoints(training, 2)] == ["checkpoint2.pt", "checkpoint3.pt"]
    with pytest.raises(UserError, match="has 3 checkpoints of whole epochs, but 4"):
        last_checkpoints(training, 4)


def test_existing_output_is_kept(training, tmp_path):
    output = tmp_path / "mean.pt"
    output.write_text("precious")
    done = average("--inputs", training / "checkpoint1.pt", "--output", output)
    assert done.code == 1 and "--overwrite" in done.stderr and "Traceback" not in done.stderr
    assert output.read_text() == "precious"
    average_checkpoints([training / "checkpoint1.pt"], output, overwrite=True)
    assert parameters(output)


def test_outputs_that_would_lose_something_are_refused(training, tmp_path):
    inputs = [tmp_path / "one.pt", tmp_path / "two.pt"]
    for path in inputs:
        path.write_bytes((training / "checkpoint1.pt").read_bytes())
    (tmp_path / "folder").mkdir()
    before = inputs[1].read_bytes()
    for output, words in (
        (inputs[1], "two.pt is an input too"),
        (tmp_path / "folder", "folder is a folder"),
        (inputs[0] / "below", "Cannot write to the folder"),
    ):
        with pytest.raises(UserError, match=words):
            average_checkpoints(inputs, output, overwrite=True)
    assert inputs[1].read_bytes() == before
    assert sorted(tmp_path.iterdir()) == sorted([tmp_path / "folder", *inputs])
    average_checkpoints(inputs, tmp_path / "new" / "mean.pt")
    assert parameters(tmp_path / "new" / "mean.pt")


def test_full_disk_leaves_no_files(training, tmp_path):
    command = [
        sys.executable,
        ROOT / "scripts" / "average_checkpoints.py",
        "--inputs",
        training / "checkpoint1.pt",
        "--output",
        tmp_path / "mean.pt",
    ]
    limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (10_000, 10_000))  # size limit of a file in bytes
    done = subprocess.run(list(map(str, command)), capture_output=True, encoding="utf-8", preexec_fn=limit)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert f"error: {tmp_path / 'mean.pt'} could not be written" in done.stderr and "make room" in done.stderr
    assert not list(tmp_path.iterdir())


def test_other_models_are_refused(training, tmp_path):
    checkpoint = torch.load(training / "checkpoint1.pt", weights_only=True)
    checkpoint["model"].pop("decoder.output_projection.bias")
    torch.save(checkpoint, tmp_path / "other.pt")
    with pytest.raises(UserError, match="different models"):
        average_checkpoints([training / "checkpoint1.pt", tmp_path / "other.pt"], tmp_path / "mean.pt")
    assert not (tmp_path / "mean.pt").exists()


def test_damaged_and_missing_files_are_refused(training, tmp_path):
    whole = (training / "checkpoint1.pt").read_bytes()
    (tmp_path / "cut.pt").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.pt").write_bytes(b"")
    torch.save({"weights": 1}, tmp_path / "foreign.pt")
    for name, words in (
        ("cut.pt", "not a valid checkpoint"),
        ("empty.pt", "not a valid checkpoint"),
        ("foreign.pt", "not a checkpoint of fairseq-train"),
        ("none.pt", "is missing"),
    ):
        with pytest.raises(UserError, match=words):
            average_checkpoints([tmp_path / name], tmp_path / "mean.pt")
    done = average("--save-dir", tmp_path / "nowhere", "--output", tmp_path / "mean.pt")
    assert done.code == 1 and "nowhere" in done.stderr and "Traceback" not in done.stderr
