"""A picture of the predictions: sentences per second, and seconds per update of one batch, against devices."""

from typing import Sequence

from benchmarking.scaling.tables import COUNTS, estimates
from benchmarking.scaling.parallelism import Setting
from gnmt.plots.pictures import new_figure

SIDE_INCHES = (10.0, 4.2)
MARKERS = "osD^v"


def draw(setting: Setting, counts: Sequence[int] = COUNTS):
    """Returns a figure with two panels; both axes are logarithmic.

    Args:
        setting: cluster, network and batch of a replica.
        counts: numbers of devices.
    """
    figure = new_figure(*SIDE_INCHES, layout="constrained")
    panels = (
        ("a batch for each replica: sentences per second", False, lambda estimate: estimate.sentences_per_second),
        ("one batch for all devices: ms per update", True, lambda estimate: 1000 * estimate.update_seconds),
    )
    for panel, (title, same_batch, value) in enumerate(panels, start=1):
        axes = figure.add_subplot(1, 2, panel)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xlabel(f"devices ({setting.cluster.device.name})")
        axes.set_title(title, fontsize="medium")
        axes.grid(alpha=0.3, which="both")
        by_strategy = estimates(setting, counts, same_batch)
        for marker, (name, by_count) in zip(MARKERS, by_strategy.items()):
            points = [(count, value(estimate)) for count, estimate in zip(counts, by_count) if estimate is not None]
            axes.plot(*zip(*points), marker=marker, linewidth=1, label=name)
        if not same_batch:
            base_speed = next(iter(by_strategy.values()))[0].sentences_per_second
            axes.plot(counts, [base_speed * count for count in counts], color="grey", linestyle=":", label="ideal")
            axes.legend(fontsize="small")
        axes.set_xticks(list(counts), [str(count) for count in counts])
    return figure
