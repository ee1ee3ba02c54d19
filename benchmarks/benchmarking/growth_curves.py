"""Measured times against each variable, with the lines of the formulas."""

import textwrap
from typing import List, NamedTuple, Sequence, Tuple

import numpy as np

from benchmarking.growth import COSTS, TRAINING, TRANSLATION, TRANSLATION_INT8, Growth, depends, describe
from gnmt.errors import UserError
from gnmt.plots.pictures import new_figure

PANEL_INCHES = (3.4, 3.2)
ROWS = {"training, ms per update": (TRAINING,), "translation, ms per batch": (TRANSLATION, TRANSLATION_INT8)}
COLOURS = dict(zip(COSTS, ("C0", "C0", "C1")))
FORMULA_POINTS = 60
TITLE_LETTERS = 36  # maximum length of a title above a panel


class Curve(NamedTuple):
    """Milliseconds at each value of a variable."""

    x: List[int]
    y: List[float]


class Measurements(NamedTuple):
    x: List[int]
    median: List[float]
    below: List[float]  # median minus minimum
    above: List[float]


def measurements(growth: Growth, cost: str, variable: str) -> Measurements:
    points = growth.along(variable)
    spreads = [growth.measured(cost, point).divided(0.001) for point in points]
    return Measurements(
        [getattr(point, variable) for point in points],
        [seconds.median for seconds in spreads],
        [seconds.median - seconds.minimum for seconds in spreads],
        [seconds.maximum - seconds.median for seconds in spreads],
    )


def formula_line(growth: Growth, cost: str, variable: str) -> Curve:
    """Returns the formula at whole values from the smallest to the largest measured value.

    Args:
        growth: all measurements.
        cost: one of COSTS.
        variable: variable of the x axis.
    """
    points = growth.along(variable)
    first, last = getattr(points[0], variable), getattr(points[-1], variable)
    x = sorted({round(value) for value in np.geomspace(first, last, FORMULA_POINTS)})
    return Curve(x, [1000 * growth.formula(cost, growth.base._replace(**{variable: value})) for value in x])


def panels(growth: Growth) -> Sequence[Tuple[int, int, str, str]]:
    """Returns row, column, title of the row and variable of each panel; training does not depend on the beam."""
    return [
        (row, column, title, variable)
        for row, (title, costs) in enumerate(ROWS.items())
        for column, variable in enumerate(growth.variables)
        if depends(costs[0], variable)
    ]


def draw(growth: Growth):
    """Returns a figure with a row for training and a row for translation; both axes are logarithmic."""
    if not growth.variables:
        raise UserError("Only the base point was measured: nothing grows.")
    columns = len(growth.variables)
    figure = new_figure(columns * PANEL_INCHES[0], len(ROWS) * PANEL_INCHES[1], layout="constrained")
    legend = {}
    for row, column, title, variable in panels(growth):
        axes = figure.add_subplot(len(ROWS), columns, row * columns + column + 1)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel(variable)
        axes.set_title(title, fontsize="medium")
        axes.grid(alpha=0.3)
        for cost in ROWS[title]:
            series = measurements(growth, cost, variable)
            legend[cost] = axes.errorbar(
                series.x, series.median, yerr=[series.below, series.above], marker="o", color=COLOURS[cost], capsize=3,
                linewidth=1, linestyle=":",
            )  # fmt: skip
        line = formula_line(growth, ROWS[title][0], variable)
        (legend["operations / float32 peak"],) = axes.plot(line.x, line.y, color="black", linewidth=1)
        values = measurements(growth, ROWS[title][0], variable).x
        axes.set_xticks(values, list(map(str, values)), rotation=45)
        axes.set_xticks([], minor=True)
    title = f"Growth around {describe(growth.base)}; peak {growth.peak / 1e9:.0f} GFLOP/s"
    figure.suptitle(textwrap.fill(title, columns * TITLE_LETTERS))
    figure.legend(legend.values(), legend.keys(), loc="outside lower center", ncols=columns)
    return figure
