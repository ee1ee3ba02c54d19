"""Tests scripts/quantize_checkpoint.py: size of the checkpoint, translation and averaging.

Expected translations come from the original checkpoint.
"""

import subprocess
import sys
from argparse import Namespace

import pytest
import torch
from commands import ROOT
from hypotheses import generate, texts
from tiny_corpora import VALID, trained_on_digits

from gnmt.checkpoints.averaging import average_checkpoints


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    output = tmp_path_factory.mktemp("int8") / "small.pt"
    command = [
        sys.executable,
        ROOT / "scripts" / "quantize_checkpoint.py",
        "--input",
        trained_on_digits(),
        "--output",
        output,
    ]
    done = subprocess.run(list(map(str, command)), capture_output=True, encoding="utf-8")
    assert done.returncode == 0 and "MB" in done.stdout, done.stderr
    return output


def test_the_checkpoint_is_small(small, tmp_path):
    average_checkpoints([trained_on_digits()], tmp_path / "float.pt")  # without the state of the optimizer
    floats, integers = (torch.load(path, weights_only=True)["model"] for path in (tmp_path / "float.pt", small))

    def size(state):
        return sum(
            value.numel() * value.element_size()
            for name, value in state.items()
            if not name.startswith("decoder.embed")
        )

    # biases and attention are stored as floats, a large part of a network of width 64
    assert size(integers) < 0.35 * size(floats)


def test_it_translates_as_the_original_does(small):
    integers = generate("--precision", "int8", checkpoint=small)
    assert texts(integers) == texts(generate("--precision", "int8"))
    floats = generate(checkpoint=small)  # read as floats
    exact = generate()
    assert sum(floats[index][0].text == exact[index][0].text for index in exact) >= VALID - 1


def test_its_mean_is_itself(small, tmp_path):
    average_checkpoints([small, small], tmp_path / "mean.pt")
    assert texts(generate(checkpoint=tmp_path / "mean.pt")) == texts(generate(checkpoint=small))


def quantize(*arguments) -> subprocess.CompletedProcess:
    command = [sys.executable, ROOT / "scripts" / "quantize_checkpoint.py", *arguments]
    return subprocess.run(list(map(str, command)), capture_output=True, encoding="utf-8")


def test_mistakes_of_the_script(tmp_path):
    for name, model in (("other", {"_name": "lstm"}), ("old", Namespace(arch="lstm"))):
        cfg = {"model": model, "task": {"_name": "translation"}}
        parts = {"model": {"weight": torch.ones(2)}, "optimizer_history": [{}], "extra_state": {}}
        torch.save({**parts, "cfg": cfg}, tmp_path / f"{name}.pt")
        done = quantize("--input", tmp_path / f"{name}.pt", "--output", tmp_path / "small.pt")
        assert done.returncode == 1 and done.stderr.endswith("but must be a GNMT of this plugin.\n")
    assert not (tmp_path / "small.pt").exists()
    done = quantize("--input", tmp_path / "old.pt", "--output", tmp_path / "other.pt")
    assert done.returncode == 1 and "other.pt exists" in done.stderr
