"""Tests examples/show_progress.py, which shortens the log of fairseq-train. Expected lines are written by hand."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "examples" / "show_progress.py"
STAMP = "2026-01-02 03:04:05 | "
LOG = f"""{STAMP}INFO | fairseq_cli.train | {{'_name': None}}
{STAMP}INFO | train_inner | epoch 001:    100 / 938 loss=114.9, nll_loss=9.3, ppl=649.85, ups=20, num_updates=100, lr=0.005
{STAMP}WARNING | fairseq.trainer | overflow
{STAMP}INFO | valid | epoch 001 | valid on 'valid' subset | loss 4.431 | nll_loss 0.328 | ppl 1.25 | num_updates 938
"""


def test_progress_warnings_and_time_left_are_shown():
    options = ["data", "--lr", "5e-3", "--max-update", "1800", "--max-update", "300", "--seed", "1"]
    shown = subprocess.run([sys.executable, SCRIPT, *options], input=LOG, capture_output=True, text=True)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.splitlines() == [
        "update 100 of 300: perplexity 649.9, 20 updates/s, 0:00:10 left",
        "warning: overflow",
        "epoch 1 (valid): perplexity 1.25",
    ]
