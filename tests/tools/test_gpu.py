"""Tests `benchmarks/gpu.sh` and its programs on a CPU at tiny sizes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import compare_devices  # noqa: E402
import profile_steps  # noqa: E402
from gnmt.errors import UserError  # noqa: E402


def run_part(part: str, output: Path, *options: str) -> subprocess.CompletedProcess:
    command = ["bash", "benchmarks/gpu.sh", part, "--output", str(output), *options]
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PYTHON": sys.executable}, capture_output=True, text=True
    )


def steps_of(output: Path) -> dict:
    """Returns the exit code of each step listed in steps.md."""
    rows = [line.strip("| ").split(" | ") for line in (output / "steps.md").read_text().splitlines()[2:]]
    return {step: code for _, step, code, _ in rows}


def check_table(text: str) -> None:
    """Checks that all deviations in a table of compare_devices.py are within their limits."""
    assert "| yes |" in text and "NO" not in text


def test_profiles(tmp_path):
    """For each precision there is a table of operations, with totals for an update and a step."""
    done = run_part("e", tmp_path, "--device", "cpu", "--small")
    assert steps_of(tmp_path) == {"profile_fp32": "0", "profile_bf16": "0"}, done.stdout + done.stderr
    content = json.loads((tmp_path / "e_profile_fp32.json").read_text())
    update, step = content["totals"]
    assert update[""] == "training update" and step[""] == "step of beam search"
    assert int(update["torch operations"]) > int(step["torch operations"]) > 100
    assert "aten::" in (tmp_path / "e_profile_bf16.log").read_text()


@pytest.mark.slow
def test_parity_of_the_cpu_with_itself(tmp_path):
    done = run_part("a", tmp_path, "--device", "cpu", "--small")
    assert set(steps_of(tmp_path).values()) == {"0"}, done.stdout + done.stderr
    check_table((tmp_path / "a_parity.log").read_text())


@pytest.mark.slow
@pytest.mark.parametrize("part", ["b", "c"])
def test_speeds(part, tmp_path):
    done = run_part(part, tmp_path, "--device", "cpu", "--small")
    steps = steps_of(tmp_path)
    assert len(steps) == 2 and set(steps.values()) == {"0"}, done.stdout + done.stderr
    for step in steps:
        assert json.loads((tmp_path / f"{part}_{step}.json").read_text())["table"]


@pytest.mark.slow
def test_training_is_killed_resumed_translated_and_refined(tmp_path):
    done = run_part("d", tmp_path, "--device", "cpu", "--small")
    steps = steps_of(tmp_path)
    assert steps.pop("killed") == "137" and set(steps.values()) == {"0"}, done.stdout + done.stderr
    assert "BLEU" in (tmp_path / "d_score.log").read_text()


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["f"], "the part is 'f'"),
        (["a", "--devices", "cpu"], "unknown option --devices"),
        (["a", "--output"], "--output needs a value"),
        (["a", "--device", "tpu"], "--device is 'tpu'"),
    ],
)
def test_mistakes(arguments, message, tmp_path):
    done = subprocess.run(["bash", "benchmarks/gpu.sh", *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and message in done.stderr


@pytest.mark.parametrize("program", [compare_devices, profile_steps], ids=["compare_devices", "profile_steps"])
@pytest.mark.parametrize(
    "option, value, message",
    [
        ("--hidden", "0", "--hidden is 0"),
        ("--batch", "0", "--batch is 0"),
        ("--vocabulary", "4", "--vocabulary is 4"),
        ("--length", "1", "must be at least 2"),
        ("--json", "/nowhere/figures.json", "is not a folder"),
    ],
)
def test_mistakes_in_sizes(program, option, value, message, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["program", "--device", "cpu", option, value])
    with pytest.raises(UserError, match=message):
        program.main()
