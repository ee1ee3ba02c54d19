"""Tests fairseq-train --bf16 on a CPU. Expected values come from the same training in float32."""

import re
from functools import partial
from pathlib import Path
from typing import Dict

import pytest
import torch
from commands import run
from test_resume import KILLED, UPDATES, arguments, assert_same_training, die_in_update, last_checkpoint


def train(folder: Path, *more, code: int = 0, before=None) -> str:
    done = run("train", *arguments(folder, "--hidden-size", 64, *more), before=before)
    assert done.code == code, done.text
    return done.text


def validation_losses(text: str) -> Dict[int, float]:
    """Returns the validation losses in bits, by number of updates."""
    losses = re.findall(r"valid on 'valid' subset \| loss ([\d.]+) .*num_updates (\d+)", text)
    return {int(updates): float(loss) for loss, updates in losses}


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """Fixture: folders and outputs of one training run in float32 and one in bfloat16."""
    folder = tmp_path_factory.mktemp("precisions")
    for name, flags in (("fp32", []), ("bf16", ["--bf16"])):
        (folder / f"{name}.txt").write_text(train(folder / name, *flags))
    return folder


def test_it_learns_as_in_float32(trained):
    """Losses decrease, and those after equal numbers of updates differ by at most 0.5%."""
    losses = [validation_losses((trained / f"{name}.txt").read_text()) for name in ("fp32", "bf16")]
    assert losses[0].keys() == losses[1].keys() and UPDATES in losses[0]
    for updates, loss in losses[0].items():
        assert losses[1][updates] == pytest.approx(loss, rel=5e-3)
    first, *_, last = losses[1].values()
    assert last < first
    assert "large products are computed in bfloat16" in (trained / "bf16.txt").read_text()


def test_checkpoints_have_the_numbers_of_float32(trained):
    """All weights are float32; they differ from the float32 training and are not rounded to bfloat16."""
    fp32, bf16 = (last_checkpoint(trained / name) for name in ("fp32", "bf16"))
    assert fp32.keys() == bf16.keys() and fp32["model"].keys() == bf16["model"].keys()
    assert fp32["optimizer_history"][-1]["optimizer_name"] == bf16["optimizer_history"][-1]["optimizer_name"]
    for name, weight in bf16["model"].items():
        assert weight.dtype == torch.float32 and not torch.equal(weight, fp32["model"][name])
        assert weight.numel() == 1 or not torch.equal(weight, weight.bfloat16().float())
    assert all(
        value.dtype == torch.float32
        for moments in bf16["last_optimizer_state"]["state"].values()
        for value in moments.values()
    )


def test_killed_in_an_update(trained, tmp_path):
    train(tmp_path, "--bf16", before=partial(die_in_update, 14), code=KILLED)
    train(tmp_path, "--bf16")
    assert_same_training(trained / "bf16", tmp_path)


@pytest.mark.parametrize("first, flags", [("fp32", ["--bf16"]), ("bf16", [])])
def test_a_training_goes_on_in_the_other_precision(trained, tmp_path, first, flags):
    """The second half is trained in the other precision; the result is close to both uniform training runs."""
    kept = sorted((trained / first).glob("checkpoint_*_*.pt"))[0]
    text = train(tmp_path, *flags, "--restore-file", kept)
    assert "Loaded checkpoint" in text
    losses = [validation_losses((trained / f"{name}.txt").read_text())[UPDATES] for name in ("fp32", "bf16")]
    assert validation_losses(text)[UPDATES] == pytest.approx(sum(losses) / 2, rel=5e-3)


def test_gradients_of_several_batches_are_added(tmp_path):
    """Each update accumulates two batches of 16 sentences, in bfloat16 and in float32."""
    settings = ["--batch-size", 16, "--update-freq", 2]
    fp32, bf16 = (validation_losses(train(tmp_path / str(len(flags)), *settings, *flags)) for flags in ([], ["--bf16"]))
    assert fp32.keys() == bf16.keys()
    assert bf16[UPDATES] == pytest.approx(fp32[UPDATES], rel=5e-3)


def test_weights_in_bfloat16_are_refused(tmp_path):
    text = train(tmp_path, "--memory-efficient-bf16", code=1)
    assert text.rstrip().endswith("on a CPU give --bf16, which keeps them in float32.")
