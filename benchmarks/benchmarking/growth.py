"""Growth of the cost of training and of translation: one variable at a time, the others at a base point.

The formulas are in operations.py. The time of a formula is the number of operations, divided by the speed of the matrix
products of the same run (peak). It is a lower bound.
"""

from typing import Dict, List, NamedTuple, Sequence

from benchmarking.figures import Spread, spread
from benchmarking.operations import NetworkSize, translation_operations, update_operations
from gnmt.commands.report import ABSENT
from benchmarking.workload import Batch

TRAINING, TRANSLATION, TRANSLATION_INT8 = "training fp32", "translation fp32", "translation int8"
COSTS = (TRAINING, TRANSLATION, TRANSLATION_INT8)
FORMULAS = """Operations (their number divided by the peak is the time of the formula):
- training, an update: 3 (N_source 2 (8 L + 13) H^2 + N_target (2 ((12 L - 3) H^2 + V H) + 6 S H))
- translation, a batch: N_source 2 (8 L + 13) H^2 + K (2 ((12 L - 3) H^2 + V H) + 6 S H)
- H hidden size, V vocabulary, L layers of each half, N tokens, S source length, K = batch (1 + (length - 1) beam)"""


class Point(NamedTuple):
    """A point of measurement; `length` is the number of tokens of each source and each target, EOS included."""

    hidden: int
    vocabulary: int
    length: int
    batch: int
    beam: int


def describe(point: Point) -> str:
    return ", ".join(f"{name} {value}" for name, value in point._asdict().items())


class Growth(NamedTuple):
    """The measurements."""

    base: Point
    layers: int
    seconds: Dict[Point, Dict[str, List[float]]]  # [point][cost][repetition], of an update or of a batch's translation
    peak: float  # operations per second

    def along(self, variable: str) -> List[Point]:
        """Returns the points that differ from the base only in this variable, in their order."""
        base_elsewhere = self.base._replace(**{variable: 0})
        points = [point for point in self.seconds if point._replace(**{variable: 0}) == base_elsewhere]
        return sorted(points)

    @property
    def variables(self) -> List[str]:
        """Variables with measurements at more than the base point."""
        return [variable for variable in Point._fields if len(self.along(variable)) > 1]

    def measured(self, cost: str, point: Point) -> Spread:
        return spread(self.seconds[point][cost])

    def formula(self, cost: str, point: Point) -> float:
        """Returns the seconds by the formula; for 8-bit integers too, at the peak of float32.

        Args:
            cost: one of COSTS.
            point: sizes.
        """
        return operations(cost, point, self.layers) / self.peak


def depends(cost: str, variable: str) -> bool:
    return not (cost == TRAINING and variable == "beam")


def operations(cost: str, point: Point, layers: int) -> int:
    size = NetworkSize(point.hidden, layers, point.vocabulary)
    sentences = [[0] * (point.length - 1)] * point.batch
    batches = [Batch(list(range(point.batch)), sentences, sentences)]
    if cost == TRAINING:
        return update_operations(size, batches)
    return translation_operations(size, batches, point.beam)


def grid(base: Point, values: Dict[str, Sequence[int]]) -> List[Point]:
    """Returns the base, and the points that differ from it in one variable; each once.

    Args:
        base: sizes that stay constant while one variable changes.
        values: values of each variable.
    """
    points = [base._replace(**{variable: value}) for variable in values for value in sorted(values[variable])]
    return list(dict.fromkeys([base, *points]))


def rows(growth: Growth, variable: str) -> List[Dict[str, str]]:
    """Returns the rows of a table: the measured time of each cost, and the time of its formula.

    Args:
        growth: all measurements.
        variable: variable of the table.
    """
    table = []
    for point in growth.along(variable):
        row = {variable: str(getattr(point, variable))}
        for cost in COSTS:
            is_dependent = depends(cost, variable)
            row[f"{cost} ms"] = f"{growth.measured(cost, point).divided(0.001):.1f}" if is_dependent else ABSENT
            if cost != TRANSLATION_INT8:
                row[f"formula of {cost.split()[0]} ms"] = (
                    f"{1000 * growth.formula(cost, point):.1f}" if is_dependent else ABSENT
                )
        table.append(row)
    return table


def summary(growth: Growth, variable: str) -> str:
    """Returns a sentence with the growth of each cost from the first to the last value.

    Args:
        growth: all measurements.
        variable: variable that grows.
    """
    first, *_, last = growth.along(variable)
    parts = []
    for cost in COSTS:
        if depends(cost, variable):
            measured = growth.measured(cost, last).median / growth.measured(cost, first).median
            formula = growth.formula(cost, last) / growth.formula(cost, first)
            parts.append(f"{cost} x{measured:.1f} (formula x{formula:.1f})")
    start, end = getattr(first, variable), getattr(last, variable)
    return f"{variable} {start} to {end} (x{end / start:.1f}): {', '.join(parts)}."


def as_json(growth: Growth) -> Dict[str, object]:
    return {
        "base": growth.base._asdict(),
        "layers": growth.layers,
        "peak_operations_a_second": growth.peak,
        "points": [{**point._asdict(), "seconds": seconds} for point, seconds in growth.seconds.items()],
    }


def from_json(content: Dict[str, object]) -> Growth:
    """Returns the measurements of a JSON object. Raises KeyError or TypeError for other content."""
    seconds = {}
    for entry in content["points"]:
        point = Point(**{name: entry[name] for name in Point._fields})
        seconds[point] = {cost: entry["seconds"][cost] for cost in COSTS}
    return Growth(Point(**content["base"]), content["layers"], seconds, content["peak_operations_a_second"])
