"""Averages checkpoints of one training.

python scripts/average_checkpoints.py --save-dir DIR --last 5 --output DIR/averaged.pt
python scripts/average_checkpoints.py --inputs A.pt B.pt --output C.pt
"""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the checkout, installed or not

from gnmt.checkpoints.averaging import average_checkpoints, last_checkpoints  # noqa: E402
from gnmt.commands.process import run_command  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--inputs", type=Path, nargs="+", help="checkpoints")
    which.add_argument("--save-dir", type=Path, help="folder of a training, with checkpoint1.pt, checkpoint2.pt, ...")
    parser.add_argument("--last", type=int, default=5, help="epochs of --save-dir (default: 5)")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--overwrite", action="store_true")
    options = parser.parse_args()
    if options.last < 1:
        parser.error(f"--last is {options.last}, but at least 1 checkpoint is needed")
    inputs = options.inputs or last_checkpoints(options.save_dir, options.last)
    average_checkpoints(inputs, options.output, options.overwrite)
    print(f"{options.output}: the mean of {', '.join(path.name for path in inputs)}")


if __name__ == "__main__":
    run_command(main)
