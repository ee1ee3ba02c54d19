"""How the time of training and of translation grows with hidden size, vocabulary, length, batch and beam.

    python scripts/benchmark_growth.py --json growth.json
    python scripts/plot_growth.py growth.json --output growth.png

One variable changes at a time, the others stay at a base point. At each point an update, and the translation of a batch
in float32 and in 8-bit integers, take turns with a matrix product, each in a process of its own. Networks have random
weights and end no sentence: a translation takes as many steps as --length says. Prints Markdown tables with the times of
the formulas beside those measured; --json keeps every measurement. The whole grid takes some half an hour; --quick is a
try of a minute or two at sizes that mean nothing.
"""
import argparse
import logging
import sys
from pathlib import Path
from typing import Dict, List

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the checkout, installed or not
logging.disable(logging.INFO)  # fairseq's notes of what it builds

from tqdm import tqdm  # noqa: E402

from benchmarking import environment  # noqa: E402
from benchmarking.alternation import Contender, Worker  # noqa: E402
from benchmarking.command_line import (  # noqa: E402
    MATRIX_PRODUCT, add_measuring_options, check_layers, check_measuring_options,
)  # fmt: skip
from benchmarking.contenders.setting import SearchSetting, Setting  # noqa: E402
from benchmarking.figures import totals  # noqa: E402
from benchmarking.growth import (  # noqa: E402
    COSTS, FORMULAS, TRAINING, TRANSLATION, TRANSLATION_INT8, Growth, Point, as_json, grid, operations, rows, summary,
)  # fmt: skip
from benchmarking.operations import NetworkSize  # noqa: E402
from benchmarking.report import check_output, markdown_table, write_json  # noqa: E402
from benchmarking.session import Measured, measure  # noqa: E402
from benchmarking.translation_checks import check_steps  # noqa: E402
from benchmarking.workload import make_dictionary, synthetic_batches  # noqa: E402
from fairseq_gnmt.errors import UserError, run_command  # noqa: E402

BASE = Point(hidden=512, vocabulary=8000, length=25, batch=32, beam=5)
VALUES = {
    "hidden": [128, 256, 512, 768, 1024],
    "vocabulary": [2000, 4000, 8000, 16000, 32000],
    "length": [5, 10, 25, 50, 100],
    "batch": [1, 4, 16, 32, 64, 128],
    "beam": [1, 2, 5, 10, 20],
}
QUICK_BASE = Point(hidden=16, vocabulary=60, length=4, batch=2, beam=2)
QUICK_VALUES: Dict[str, List[int]] = {"hidden": [32], "vocabulary": [], "length": [], "batch": [], "beam": [1]}
LEAST = Point(hidden=1, vocabulary=5, length=2, batch=1, beam=1)
DROPOUT = 0.2
NO_LIMIT = 200  # tokens; the steps are forced
# For the time left alone: starting the processes of a point, and what a slow core computes.
START_SECONDS, OPERATIONS_A_SECOND = 20.0, 5e10


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_measuring_options(parser)
    parser.add_argument("--layers", type=int, default=4, help="of the encoder, and of the decoder")
    parser.add_argument("--quick", action="store_true", help="other defaults for the points: three tiny ones")
    points = parser.add_argument_group("points")
    for name in Point._fields:
        points.add_argument(f"--{name}", type=int, metavar="N", help=f"at the base point (default: {getattr(BASE, name)})")
        default = " ".join(map(str, VALUES[name]))
        points.add_argument(f"--{name}-values", type=int, nargs="*", metavar="N", help=f"others beside it (default: {default})")
    args = parser.parse_args()
    check_measuring_options(args)
    check_layers(args.layers)
    if args.json:
        check_output(args.json, args.overwrite)
    return args


def points_of(args: argparse.Namespace) -> List[Point]:
    """The base point first. Raises UserError for a value that is too small."""
    base, values = (QUICK_BASE, QUICK_VALUES) if args.quick else (BASE, VALUES)
    given = {name: getattr(args, name) for name in Point._fields}
    base = base._replace(**{name: value for name, value in given.items() if value is not None})
    lists = {name: getattr(args, f"{name}_values") for name in Point._fields}
    points = grid(base, {name: values[name] if lists[name] is None else lists[name] for name in Point._fields})
    for point in points:
        for name, value, least in zip(Point._fields, point, LEAST):
            if value < least:
                raise UserError(f"--{name} or --{name}-values has {value}, but at least {least} is needed.")
    return points


def contenders_of(point: Point, args: argparse.Namespace) -> List[Contender]:
    """Named by what they cost; then the matrix product."""
    size = NetworkSize(point.hidden, args.layers, point.vocabulary)
    batches = synthetic_batches(point.vocabulary, 1, point.batch, point.length, point.length, args.seed)
    training = Setting(size, make_dictionary(point.vocabulary), batches, DROPOUT, args.threads, seed=args.seed)
    search = SearchSetting(point.beam, 0.0, NO_LIMIT)
    translation = training._replace(dropout=0.0, search=search)
    ours, limit = "benchmarking.contenders.ours", "benchmarking.contenders.matrix_product"
    return [
        Contender(TRAINING, ours, "trainer", training),
        Contender(TRANSLATION, ours, "translator", translation),
        Contender(TRANSLATION_INT8, ours, "translator", translation._replace(precision="int8")),
        Contender(MATRIX_PRODUCT, limit, "build", training._replace(batches=[])),
    ]


def measure_point(point: Point, args: argparse.Namespace) -> Measured:
    contenders = contenders_of(point, args)
    (batch,) = contenders[0].setting.batches

    def check(workers: List[Worker]) -> None:
        for worker in workers:
            if worker.name != TRAINING:
                check_steps(worker.name, batch, worker.ask("run", 0))

    return measure(contenders, args.threads, args.warm_up, args.repetitions, check)


def expected_seconds(point: Point, args: argparse.Namespace) -> float:
    """A rough guess, by which points are weighed against each other."""
    rounds = args.warm_up + args.repetitions
    return START_SECONDS + rounds * sum(operations(cost, point, args.layers) for cost in COSTS) / OPERATIONS_A_SECOND


def main() -> None:
    args = parse_options()
    points = points_of(args)
    warning = environment.require_free_machine(args.allow_busy)
    place = environment.record(args.threads)
    measured: Dict[Point, Measured] = {}
    guesses = [expected_seconds(point, args) for point in points]
    time_left = "{desc}: {percentage:3.0f}% [{elapsed} so far, {remaining} left]"
    with tqdm(total=sum(guesses), desc="growth", bar_format=time_left) as progress:
        for number, (point, guess) in enumerate(zip(points, guesses), start=1):
            values = ", ".join(f"{name} {value}" for name, value in point._asdict().items())
            progress.set_description(f"point {number} of {len(points)}: {values}")
            measured[point] = measure_point(point, args)
            progress.update(guess)

    seconds = {
        point: {cost: totals(one.seconds[cost]) for cost in COSTS} for point, one in measured.items()
    }
    growth = Growth(points[0], args.layers, seconds, peak=max(one.peak_operations for one in measured.values()))
    used = [one.others for one in measured.values() if one.others is not None]
    disturbance = environment.disturbance(max(used)) if used else None
    warnings = [text for text in (warning, disturbance) if text]
    tables = {variable: rows(growth, variable) for variable in growth.variables}

    base = ", ".join(f"{name} {value}" for name, value in growth.base._asdict().items())
    print(
        f"Growth around {base}; {args.layers} + {args.layers} layers, random weights, dropout {DROPOUT} in training, "
        f"{args.threads} threads; median (least - most) of {args.repetitions}."
    )
    print("\n".join([*warnings, "", FORMULAS, f"Peak: {growth.peak / 1e9:.0f} GFLOP/s in float32 matrix products."]))
    for variable, table in tables.items():
        print(f"\n{markdown_table(table)}\n\n{summary(growth, variable)}")
    if args.json:
        content = {"environment": place, "options": vars(args), "warnings": warnings, "tables": tables}
        write_json(args.json, {**content, **as_json(growth)})


if __name__ == "__main__":
    run_command(main)
