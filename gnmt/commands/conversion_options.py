"""Options of sub-commands that convert a file line by line."""

import argparse
from pathlib import Path

from gnmt.commands.command_line import add_command
from gnmt.machine import available_cores


def add_conversion(commands, name: str, purpose: str, workers: str = "processes") -> argparse.ArgumentParser:
    """Adds a sub-command.

    Args:
        commands: result of ArgumentParser.add_subparsers.
        name: name of the sub-command.
        purpose: help text.
        workers: "processes" or "threads".
    """
    command = add_command(commands, name, purpose)
    command.add_argument("--input", type=Path, required=True, metavar="FILE", help="text or .gz")
    command.add_argument("--output", type=Path, required=True, metavar="FILE", help="file to write, with as many lines")
    command.add_argument("--jobs", type=int, default=available_cores(), metavar="N", help=f"number of {workers}")
    return command
