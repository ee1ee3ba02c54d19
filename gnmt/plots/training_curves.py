"""Training curves: loss, BLEU, learning rate and speed, and their picture."""

import math
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

from gnmt.errors import UserError
from gnmt.plots.pictures import new_figure
from gnmt.training.training_log import INNER, TRAIN, Record

PANEL_INCHES = (5.5, 3.6)
AXES = ("updates", "epochs")  # fields of a Record


class Panel(NamedTuple):
    """Contents of one pair of axes; `stat` is fairseq's name of the statistic."""

    title: str
    stat: str
    of_training: bool
    of_validation: bool
    remedy: str  # advice if the log lacks the statistic
    logarithmic: bool = False


LOSS = {
    "nll": Panel("loss (bits per target token)", "nll_loss", True, True, "its criterion logs neither nll_loss nor ppl"),
    "ppl": Panel("perplexity", "ppl", True, True, "its criterion logs no ppl", logarithmic=True),
}
PANELS = (
    Panel("BLEU (validation)", "bleu", False, True, "train with --eval-bleu"),
    Panel("learning rate", "lr", True, False, "fairseq logs it with its figures of training"),
    Panel("target tokens per second", "wps", True, False, "fairseq logs it with its figures of training"),
)


class Run(NamedTuple):
    """Records of a training run, and its name in the legend."""

    name: str
    records: List[Record]


class Curve(NamedTuple):
    """Statistic over the updates or epochs of a training run."""

    label: str
    of_validation: bool
    x: List[float]
    y: List[float]


def curves(run: Run, panel: Panel, against: str) -> List[Curve]:
    """Returns the curve of training and one curve per validation set.

    The training curve is by update if the log has statistics by update, and by epoch otherwise.

    Args:
        run: records of a training run.
        panel: statistic to draw.
        against: one of AXES.
    """
    candidates = []
    if panel.of_training:
        inner = _curve(run, panel.stat, against, INNER, of_validation=False)
        candidates.append(inner or _curve(run, panel.stat, against, TRAIN, of_validation=False))
    if panel.of_validation:
        subsets = dict.fromkeys(record.kind for record in run.records if record.kind not in (INNER, TRAIN))
        candidates += [_curve(run, panel.stat, against, subset, of_validation=True) for subset in subsets]
    return [curve for curve in candidates if curve]


def _curve(run: Run, stat: str, against: str, kind: str, of_validation: bool) -> Optional[Curve]:
    records = [record for record in run.records if record.kind == kind and stat in record.stats]
    if not records:
        return None
    label = f"{run.name}, {kind if of_validation else 'training'}"
    x = [float(getattr(record, against)) for record in records]
    return Curve(label, of_validation, x, [record.stats[stat] for record in records])


def missing(run: Run, panels: Sequence[Panel], against: str) -> List[str]:
    """Returns a message for each panel without a curve of the run.

    Args:
        run: records of a training run.
        panels: statistics to draw.
        against: one of AXES.
    """
    return [
        f"{run.name} has no {panel.title}, which is left out: {panel.remedy}."
        for panel in panels
        if not curves(run, panel, against)
    ]


def draw(runs: Sequence[Run], panels: Sequence[Panel], against: str):
    """Returns a figure with one colour per run, without empty panels.

    Args:
        runs: training runs.
        panels: statistics to draw.
        against: one of AXES.

    Raises:
        UserError: if all panels are empty.
    """
    shown = [panel for panel in panels if any(curves(run, panel, against) for run in runs)]
    if not shown:
        raise UserError(f"There are no statistics to draw for {' and '.join(run.name for run in runs)}.")
    columns = min(2, len(shown))
    rows = math.ceil(len(shown) / columns)
    figure = new_figure(columns * PANEL_INCHES[0], rows * PANEL_INCHES[1], layout="constrained")
    legend: Dict[str, object] = {}
    for place, panel in enumerate(shown, start=1):
        axes = figure.add_subplot(rows, columns, place)
        axes.set_title(panel.title)
        axes.set_xlabel(against)
        axes.set_yscale("log" if panel.logarithmic else "linear")
        axes.grid(alpha=0.3)
        for number, run in enumerate(runs):
            for curve in curves(run, panel, against):
                look: Dict[str, Any] = (
                    {"marker": "o", "markersize": 4} if curve.of_validation else {"alpha": 0.55, "linewidth": 1.2}
                )
                if len(curve.x) == 1:
                    look["marker"] = "o"
                (line,) = axes.plot(curve.x, curve.y, color=f"C{number}", **look)
                legend.setdefault(curve.label, line)
    figure.legend(legend.values(), legend.keys(), loc="outside lower center", ncols=columns)
    return figure
