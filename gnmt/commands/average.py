"""Averages the weights of several checkpoints of one training run.

Examples:

    gnmt average --save-dir DIR --last 5 --output DIR/averaged.pt
    gnmt average --inputs A.pt B.pt --output C.pt
"""

import argparse
from pathlib import Path

from gnmt.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of the command."""
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--inputs", type=Path, nargs="+", metavar="CHECKPOINT", help="checkpoints of fairseq-train")
    which.add_argument(
        "--save-dir",
        type=Path,
        metavar="DIR",
        help="folder of a training run, with checkpoint1.pt, checkpoint2.pt, ...",
    )
    parser.add_argument("--last", type=int, default=5, metavar="N", help="number of epochs to average, from --save-dir")
    parser.add_argument("--output", type=Path, required=True, metavar="CHECKPOINT", help="file to write")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing output")


def run(arguments: argparse.Namespace) -> None:
    """Runs the command."""
    from gnmt.checkpoints.averaging import average_checkpoints, last_checkpoints

    if arguments.last < 1:
        raise UserError(f"--last is {arguments.last}, but must be at least 1.")
    inputs = arguments.inputs or last_checkpoints(arguments.save_dir, arguments.last)
    average_checkpoints(inputs, arguments.output, arguments.overwrite)
    print(f"{arguments.output}: the mean of {', '.join(path.name for path in inputs)}")
