"""Draws the measurements of benchmark_growth.py and the times of the formulas: operations / peak of matrix products.

Example:

    python benchmarks/plot_growth.py growth.json --output growth.png
"""

import argparse
import json
import logging
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the checkout, installed or not
logging.disable(logging.INFO)  # fairseq enables the log messages of all libraries

from benchmarking.growth import Growth, from_json  # noqa: E402
from gnmt.commands.process import run_command  # noqa: E402
from gnmt.errors import UserError  # noqa: E402
from gnmt.files.lines import check_files  # noqa: E402
from gnmt.files.outputs import atomic_outputs  # noqa: E402
from benchmarking.growth_curves import draw  # noqa: E402
from gnmt.plots.pictures import check_pictures, to_png  # noqa: E402


def read_growth(path: Path) -> Growth:
    """Reads the measurements. Raises UserError if the file was not written by benchmark_growth.py."""
    check_files([path])
    try:
        return from_json(json.loads(path.read_bytes()))
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} is not a file of benchmark_growth.py --json ({type(error).__name__}: {error}): measure first."
        ) from error


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("measurements", type=Path, metavar="FILE.json", help="file of benchmark_growth.py --json")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE.png")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing --output")
    args = parser.parse_args()
    check_pictures([args.output])
    with atomic_outputs([args.output], inputs=[args.measurements], overwrite=args.overwrite) as (file,):
        growth = read_growth(args.measurements)
        file.write(to_png(draw(growth)))
    print(f"{args.output}: {', '.join(growth.variables)} at {len(growth.seconds)} points")


if __name__ == "__main__":
    run_command(main)
