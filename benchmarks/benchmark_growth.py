"""Growth of training and translation time with hidden size, vocabulary, length, batch size and beam.

    python benchmarks/benchmark_growth.py --json growth.json
    python benchmarks/plot_growth.py growth.json --output growth.png

One variable changes at a time; the others stay at a base point. Four operations run alternately in one process: a
training update, the translation of a batch in float32 and in int8, and a matrix product. Networks have random weights,
and every translation takes --length steps. Prints Markdown tables of measured times and times of the formulas; --json
stores every measurement. The whole grid takes about half an hour. --quick takes a minute with tiny sizes, for tests only.
"""

import argparse
import logging
import sys
from pathlib import Path
from typing import Dict, List

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the checkout, installed or not
logging.disable(logging.INFO)  # hides fairseq's messages about the models that it builds

from tqdm import tqdm  # noqa: E402

from benchmarking import environment  # noqa: E402
from benchmarking.alternation import Alternation, Contender, Worker, alternate  # noqa: E402
from benchmarking.command_line import add_measuring_options, check_layers, check_measuring_options  # noqa: E402
from benchmarking.contenders.growth_point import PointSetting  # noqa: E402
from benchmarking.contenders.matrix_product import OPERATIONS  # noqa: E402
from benchmarking.contenders.setting import SearchSetting, Setting  # noqa: E402
from benchmarking.growth import (  # noqa: E402
    COSTS, FORMULAS, TRAINING, Growth, Point, as_json, describe, grid, operations, rows, summary,
)  # fmt: skip
from benchmarking.operations import NetworkSize  # noqa: E402
from gnmt.commands.report import check_output, markdown_table, write_json  # noqa: E402
from benchmarking.session import set_threads  # noqa: E402
from benchmarking.translation_checks import check_steps  # noqa: E402
from benchmarking.workload import make_dictionary, synthetic_batches  # noqa: E402
from gnmt.commands.process import run_command  # noqa: E402
from gnmt.errors import UserError  # noqa: E402

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
MINIMUM = Point(hidden=1, vocabulary=5, length=2, batch=1, beam=1)
DROPOUT = 0.2
NO_LIMIT = 200  # tokens; the steps are forced
WORKER = "point"
# Only for the estimate of the time left: seconds to start the process of a point, and the speed of a slow core.
START_SECONDS, OPERATIONS_A_SECOND = 10.0, 5e10


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_measuring_options(parser)
    parser.add_argument("--layers", type=int, default=4, help="number of encoder layers, and of decoder layers")
    parser.add_argument("--quick", action="store_true", help="use three tiny points by default, for tests")
    points = parser.add_argument_group("points")
    for name in Point._fields:
        points.add_argument(
            f"--{name}", type=int, metavar="N", help=f"at the base point (default: {getattr(BASE, name)})"
        )
        explanation = f"further values (default: {' '.join(map(str, VALUES[name]))})"
        points.add_argument(f"--{name}-values", type=int, nargs="*", metavar="N", help=explanation)
    args = parser.parse_args()
    check_measuring_options(args)
    check_layers(args.layers)
    check_output(args.json, args.overwrite)
    return args


def points_of(args: argparse.Namespace) -> List[Point]:
    """Returns the points, the base point first. Raises UserError for a value that is too small."""
    base, values = (QUICK_BASE, QUICK_VALUES) if args.quick else (BASE, VALUES)
    options = {name: getattr(args, name) for name in Point._fields}
    base = base._replace(**{name: value for name, value in options.items() if value is not None})
    lists = {name: getattr(args, f"{name}_values") for name in Point._fields}
    points = grid(base, {name: values[name] if lists[name] is None else lists[name] for name in Point._fields})
    for point in points:
        for name, value, minimum in zip(Point._fields, point, MINIMUM):
            if value < minimum:
                raise UserError(f"--{name} or --{name}-values has {value}, but at least {minimum} is needed.")
    return points


def setting_of(point: Point, args: argparse.Namespace) -> PointSetting:
    size = NetworkSize(point.hidden, args.layers, point.vocabulary)
    batches = synthetic_batches(point.vocabulary, 1, point.batch, point.length, point.length, args.seed)
    training = Setting(size, make_dictionary(point.vocabulary), batches, DROPOUT, args.threads, seed=args.seed)
    return PointSetting(training, training._replace(dropout=0.0, search=SearchSetting(point.beam, 0.0, NO_LIMIT)))


def measure(point: Point, args: argparse.Namespace) -> Alternation:
    """Returns the seconds of COSTS and of the matrix product in each repetition.

    Args:
        point: sizes to measure.
        args: options of the command line.
    """
    setting = setting_of(point, args)
    worker = Worker(Contender(WORKER, "benchmarking.contenders.growth_point", "build", setting), args.threads)
    try:
        worker.wait_until_built()
        for index, cost in enumerate(COSTS):
            if cost != TRAINING:
                check_steps(cost, setting.translation.batches[0], worker.call("run", index))
        return alternate([worker], args.warm_up, args.repetitions)
    finally:
        worker.close()


def growth_of(measured: Dict[Point, Alternation], base: Point, layers: int) -> Growth:
    seconds, products = {}, []
    for point, alternation in measured.items():
        *costs, product = zip(*alternation.seconds[WORKER])  # each over the repetitions
        seconds[point] = dict(zip(COSTS, map(list, costs)))
        products += product
    return Growth(base, layers, seconds, peak=OPERATIONS / min(products))


def expected_seconds(point: Point, args: argparse.Namespace) -> float:
    """Returns a rough estimate of a point's time, relative to other points.

    Args:
        point: sizes to measure.
        args: options of the command line.
    """
    rounds = args.warm_up + args.repetitions
    return START_SECONDS + rounds * sum(operations(cost, point, args.layers) for cost in COSTS) / OPERATIONS_A_SECOND


def report(growth: Growth, args: argparse.Namespace, warnings: List[str]) -> str:
    """Returns Markdown: a table for each variable, and the growth from its first to its last value.

    Args:
        growth: all measurements.
        args: options of the command line.
        warnings: sentences on disturbances of the measurement.
    """
    heading = (
        f"Growth around {describe(growth.base)}; {args.layers} + {args.layers} layers, random weights, dropout {DROPOUT} "
        f"in training, {args.threads} threads; median (least - most) of {args.repetitions}."
    )
    peak = f"Peak: {growth.peak / 1e9:.0f} GFLOP/s in float32 matrix products of the same run."
    parts = ["\n".join([heading, *warnings]), FORMULAS, peak]
    for variable in growth.variables:
        parts += [markdown_table(rows(growth, variable)), summary(growth, variable)]
    return "\n\n".join(parts)


def main() -> None:
    args = parse_options()
    points = points_of(args)
    warning = environment.require_free_machine(args.allow_busy)
    machine = environment.record(args.threads, "cpu")
    set_threads(args.threads)
    measured: Dict[Point, Alternation] = {}
    estimates = [expected_seconds(point, args) for point in points]
    time_left = "{desc}{percentage:3.0f}% [{elapsed} so far, {remaining} left]"
    with tqdm(total=sum(estimates), desc="growth", bar_format=time_left) as progress:
        for number, (point, estimate) in enumerate(zip(points, estimates), start=1):
            progress.set_description(f"point {number} of {len(points)}, {describe(point)}")
            measured[point] = measure(point, args)
            progress.update(estimate)

    growth = growth_of(measured, points[0], args.layers)
    loads = [alternation.others for alternation in measured.values() if alternation.others is not None]
    disturbance = environment.disturbance(max(loads, default=None))
    warnings = [text for text in (warning, disturbance) if text]
    tables = {variable: rows(growth, variable) for variable in growth.variables}
    print(report(growth, args, warnings))
    if args.json:
        content = {"environment": machine, "options": vars(args), "warnings": warnings, "tables": tables}
        write_json(args.json, {**content, **as_json(growth)})


if __name__ == "__main__":
    run_command(main)
