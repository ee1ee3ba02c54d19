"""Deprecated name of the command `gnmt plot training`; the next release removes it."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the checkout, installed or not

from gnmt.commands import plot  # noqa: E402
from gnmt.commands.command_line import run_module  # noqa: E402
from gnmt.commands.process import run_command  # noqa: E402

if __name__ == "__main__":
    run_command(lambda: run_module(plot, "gnmt plot", ["training", *sys.argv[1:]]))
