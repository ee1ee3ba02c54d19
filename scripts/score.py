"""Deprecated name of the command `gnmt score`; the next release removes it."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the checkout, installed or not

from gnmt.commands import score  # noqa: E402
from gnmt.commands.command_line import run_alone  # noqa: E402

if __name__ == "__main__":
    run_alone(score, "scripts/score.py")
