"""Tests `gnmt score` as a command against sacreBLEU's command."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Tuple

import pytest

from gnmt.evaluation.bleu import report
from scored_systems import write

ROOT = Path(__file__).resolve().parents[2]
SCORE = ROOT / "scripts" / "score.py"
# “ and ” are separate tokens in `intl`, and part of the word in 13a; two capitals differ as well.
HYPOTHESES = ["the dog sleeps in the red house", "Das “Haus” ist Rot"]
REFERENCES = ["the dog sleeps in the old house", "das “Haus” ist rot"]


def run(*command: str) -> Tuple[int, str, str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run([sys.executable, *command], capture_output=True, encoding="utf-8", env=environment)
    return result.returncode, result.stdout, result.stderr


@pytest.mark.parametrize("options, line", [((), 0), (("-lc", "--tokenize", "intl"), 1)])
def test_report_equals_the_sacrebleu_command(tmp_path, options, line):
    references, hypotheses = write(tmp_path / "r", REFERENCES), write(tmp_path / "h", HYPOTHESES)
    code, printed, _ = run("-m", "sacrebleu", references, "-i", hypotheses, "-f", "text", "-w", "2", *options)
    # The command prints "BLEU|<signature> = <numbers>", the report "BLEU = <numbers> <signature>".
    signature, numbers = printed.strip().removeprefix("BLEU|").split(" = ", maxsplit=1)
    assert code == 0
    assert report(HYPOTHESES, REFERENCES).splitlines()[line] == f"BLEU = {numbers} {signature}"


def test_script_as_a_command(tmp_path):
    references = write(tmp_path / "r", REFERENCES)
    hypotheses = write(tmp_path / "with space", HYPOTHESES)
    code, printed, _ = run(str(SCORE), "--hypotheses", hypotheses, "--references", references)
    assert (code, printed) == (0, report(HYPOTHESES, REFERENCES) + "\n")

    hypotheses = write(tmp_path / "short", HYPOTHESES[:1])
    code, printed, error_message = run(str(SCORE), "--hypotheses", hypotheses, "--references", references)
    assert (code, printed) == (1, "")
    assert (
        error_message.splitlines()[-1]
        == f"error: {hypotheses} has 1 lines for 2 references: translate and score the same file."
    )
    assert "Traceback" not in error_message
