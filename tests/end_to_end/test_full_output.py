"""Tests fairseq's commands when standard output is on a full disk. Expected messages are written by hand."""

import subprocess
import sys
from pathlib import Path

import pytest
from commands import ROOT
from processes import SECONDS
from tiny_corpora import MODEL, OBJECTIVE, TASK, digits, trained_on_digits

FULL = Path("/dev/full")
SENTENCE = "error: The output could not be written (No space left on device): make room on its disk."

pytestmark = pytest.mark.skipif(not FULL.exists(), reason="the system has no /dev/full")


def last_message(command: str, *arguments, given: str = "") -> str:
    """Runs a command with a full output, which must fail; returns its stderr from the last "error:" on."""
    with FULL.open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", f"fairseq_cli.{command}", *map(str, arguments)],
            stdout=full, stderr=subprocess.PIPE, input=given, text=True, cwd=ROOT, timeout=SECONDS,
        )  # fmt: skip
    assert done.returncode == 1, done.stderr[-4000:]
    return done.stderr[done.stderr.rfind("error:") :].strip()


@pytest.mark.parametrize("command, options", [
    ("generate", ["--batch-size", 8]),
    ("generate", ["--batch-size", 8, "--quiet"]),
    ("interactive", []),
    ("validate", ["--batch-size", 8]),
])  # fmt: skip
def test_translation(command, options):
    languages = ["--source-lang", "en", "--target-lang", "de"]
    path = ["--path", trained_on_digits()]
    assert last_message(command, digits(), *TASK, *languages, *path, *options, given="1 2 3\n") == SENTENCE


def test_training_ends_with_an_error_after_its_checkpoints(tmp_path):
    updates = ["--lr", "1e-3", "--batch-size", 32, "--max-update", 2, "--save-dir", tmp_path]
    bleu = ["--eval-bleu", "--eval-bleu-args", '{"beam": 1}', "--eval-bleu-print-samples"]
    message = last_message("train", digits(), *TASK, *MODEL, *OBJECTIVE, *updates, *bleu)
    assert message == SENTENCE
    assert (tmp_path / "checkpoint_last.pt").is_file()
