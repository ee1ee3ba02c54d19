"""Validation of several training runs against the number of epochs."""

from typing import Sequence

from benchmarking.training_runs import Result
from gnmt.plots.pictures import new_figure

SIZE_INCHES = (11.0, 4.5)


def draw(results: Sequence[Result]):
    """Returns a figure with log-perplexity on the left and BLEU on the right."""
    figure = new_figure(*SIZE_INCHES, layout="constrained")
    for panel, (title, value) in enumerate({"log-perplexity, nats": "log_perplexity", "BLEU": "bleu"}.items(), 1):
        axes = figure.add_subplot(1, 2, panel)
        axes.set_title(f"validation {title}", fontsize="medium")
        axes.set_xlabel("epochs")
        axes.grid(alpha=0.3)
        for run in results:
            x = [point.epochs for point in run.points]
            axes.plot(x, [getattr(point, value) for point in run.points], marker=".", linewidth=1, label=run.name)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure
