"""Predicted time per update and memory of training on 1 to 64 devices, for each parallelism strategy.

    python benchmarks/scaling_model.py                          # tables for GPUs, from specifications and published runs
    python benchmarks/scaling_model.py --picture scaling.png    # the same as curves
    python benchmarks/scaling_model.py --here                   # measures this machine, predicts two processes on it

docs/scaling.md describes the strategies. --here takes one to two minutes: two processes with one thread each measure the
parts of an update and the messages of gloo. The predictions are computed from these times. Compare the predictions with
training runs of the same sizes.
"""

import argparse
import logging
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the checkout, installed or not
logging.disable(logging.INFO)  # fairseq enables the log messages of all libraries

from benchmarking import environment  # noqa: E402
from benchmarking.scaling import tables  # noqa: E402
from benchmarking.scaling.costs import Batch, Network  # noqa: E402
from benchmarking.scaling.curves import draw  # noqa: E402
from benchmarking.scaling.machines import BATCH, DGX_A100, GNMT_V2  # noqa: E402
from benchmarking.scaling.two_processes import describe, rows_of  # noqa: E402
from benchmarking.scaling.parallelism import Setting  # noqa: E402
from gnmt.commands.process import run_command  # noqa: E402
from gnmt.commands.report import check_output, markdown_table, write_json  # noqa: E402
from gnmt.errors import UserError  # noqa: E402
from gnmt.files.outputs import atomic_outputs  # noqa: E402
from gnmt.plots.pictures import check_pictures, to_png  # noqa: E402

MINIMUM = {"hidden": 1, "layers": 2, "vocabulary": 8, "batch": 2, "source": 1, "target": 1, "repetitions": 1}


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--picture", type=Path, metavar="FILE.png", help="draw the predictions for GPUs")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing --picture or --json")
    machine = parser.add_argument_group("this machine")
    machine.add_argument("--here", action="store_true", help="measure this machine")
    machine.add_argument("--hidden", type=int, default=256, help="hidden size (default: %(default)s)")
    machine.add_argument(
        "--layers", type=int, default=4, help="number of encoder layers, and of decoder layers (default: %(default)s)"
    )
    machine.add_argument("--vocabulary", type=int, default=8000, help="tokens (default: %(default)s)")
    machine.add_argument("--batch", type=int, default=64, help="sentences of an update (default: %(default)s)")
    machine.add_argument("--source", type=int, default=16, help="source positions, with EOS and padding")
    machine.add_argument("--target", type=int, default=16, help="target positions, with EOS and padding")
    machine.add_argument(
        "--repetitions", type=int, default=5, help="repetitions of each measurement (default: %(default)s)"
    )
    machine.add_argument("--json", type=Path, metavar="FILE", help="file for all measurements")
    machine.add_argument("--allow-busy", action="store_true", help="measure although other programs are running")
    return parser.parse_args()


def check(args: argparse.Namespace) -> None:
    """Raises UserError for numbers that are too small, and files that cannot be written."""
    for option, minimum in MINIMUM.items():
        if getattr(args, option) < minimum:
            raise UserError(f"--{option} is {getattr(args, option)}, but must be at least {minimum}.")
    if args.batch % 2:
        raise UserError(f"--batch is {args.batch}, but two processes have half of it each: give an even number.")
    if args.picture:
        check_pictures([args.picture])
    check_output(args.json, args.overwrite)


def print_predictions() -> None:
    """Prints the tables for GPUs, and the paper's set-up."""
    setting = Setting(DGX_A100, GNMT_V2, BATCH)
    print(
        f"# {DGX_A100.device.name}, GNMT v2, {BATCH.sentences} sentences of {BATCH.source} and {BATCH.target} positions"
    )
    print(f"\nA batch for each replica: ms per update, sentences per second\n\n{markdown_table(tables.rows(setting))}")
    print(f"\n{markdown_table([tables.paying_row(setting)])}")
    print(f"\nOne batch for all devices\n\n{markdown_table(tables.rows(setting, same_batch=True))}")
    print(f"\nGB of the fullest device\n\n{markdown_table(tables.memory_rows(setting))}")
    print(f"\n# Wu et al. (2016)\n\n{markdown_table(tables.paper_rows())}")


def measure_here(args: argparse.Namespace) -> None:
    """Measures this machine and prints the predictions for two processes on it."""
    from benchmarking.scaling import calibration  # loads fairseq

    warning = environment.require_free_machine(args.allow_busy)
    network = Network(args.hidden, args.layers, args.layers, args.vocabulary)
    batch = Batch(args.batch, args.source, args.target)
    measurements = calibration.measure(network, batch, args.repetitions)
    table = rows_of(measurements, network, batch)
    print(f"# {batch.sentences} sentences an update, two processes with one thread each\n\n{markdown_table(table)}")
    print(f"\n{describe(measurements)}")
    if warning:
        print(f"\n{warning}")
    if args.json:
        content = {
            "environment": environment.record(1, "cpu"), "network": network._asdict(), "batch": batch._asdict(),
            "parts": measurements.parts._asdict(), "link": measurements.link._asdict(), "measured": measurements.measured._asdict(),
            "table": table,
        }  # fmt: skip
        write_json(args.json, content)


def main() -> None:
    args = parse_options()
    check(args)
    if args.here:
        measure_here(args)
    else:
        print_predictions()
    if args.picture:
        with atomic_outputs([args.picture], inputs=[], overwrite=args.overwrite) as (file,):
            file.write(to_png(draw(Setting(DGX_A100, GNMT_V2, BATCH))))


if __name__ == "__main__":
    run_command(main)
