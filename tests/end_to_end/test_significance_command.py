"""Tests confidence intervals and paired tests against sacreBLEU's command."""

import json
import os
import re
import subprocess
import sys

import pytest
from scored_systems import GOOD, REFERENCES, SYSTEMS, write

from gnmt.evaluation.significance import corpus_scores, paired_scores


def sacrebleu_command(tmp_path, *options) -> str:
    """Returns the output of sacreBLEU's command for both systems."""
    files = [write(tmp_path / name, lines) for name, lines in SYSTEMS]
    command = [sys.executable, "-m", "sacrebleu", write(tmp_path / "r", REFERENCES), "-i", *files, *options]
    return subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "NO_COLOR": "1"}, check=True
    ).stdout


@pytest.mark.parametrize("test, numbers", [("bs", 3 * 3 + 3 * 4), ("ar", 3 + 3 * 2)])
def test_paired_tests_equal_the_sacrebleu_command(tmp_path, test, numbers):
    printed = sacrebleu_command(tmp_path, f"-p{test}", "-m", "bleu", "chrf", "ter", "-f", "latex", "-w", "4")
    expected = re.findall(r"\d+\.\d{4}", printed)  # score; with bs also mean and interval; for the second system also p
    results = paired_scores(SYSTEMS, REFERENCES, ["bleu", "chrf", "ter"], test)
    actual = [
        number
        for system in range(2)
        for result in (results[name].systems[system] for name in results)
        for number in (result.score, result.mean, result.ci, result.p_value)
        if number is not None
    ]
    assert [f"{number:.4f}" for number in actual] == expected and len(actual) == numbers
    assert all(results[name].signature in " ".join(printed.split()) for name in results)


def test_intervals_equal_the_sacrebleu_command(tmp_path):
    file = write(tmp_path / "h", GOOD)
    command = [sys.executable, "-m", "sacrebleu", write(tmp_path / "r", REFERENCES), "-i", file, "--confidence", "-f",
               "json"]  # fmt: skip
    expected = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    result = corpus_scores([("good", GOOD)], REFERENCES, ["bleu"], resamples=1000)["bleu"]
    assert f"{result.systems[0].score:.1f}" == str(expected["score"])
    assert f"μ = {result.systems[0].mean:.1f} ± {result.systems[0].ci:.1f}" in expected["confidence"]
    assert result.signature == expected["signature"]
