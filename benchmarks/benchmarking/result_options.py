"""Options of benchmarks for the file of their results, and for a machine that others use too."""

import argparse
from pathlib import Path


def add_result_options(parser: argparse.ArgumentParser) -> None:
    """Adds --json, --overwrite and --allow-busy."""
    add = parser.add_argument
    add("--json", type=Path, metavar="FILE", help="file for all measurements and the environment")
    add("--overwrite", action="store_true", help="replace the --json file")
    add(
        "--allow-busy",
        action="store_true",
        help="run although other programs are running; the figures are then unreliable",
    )
