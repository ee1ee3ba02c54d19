"""Histogram of side-by-side scores, as in figure 6 of Wu et al. (2016)."""

from typing import Dict, List

from gnmt.plots.pictures import new_figure

WIDTH, HEIGHT = 7.0, 4.0  # inches
SHARE_OF_GAP = 0.8  # share of the width that the bars of one score fill


def draw(histogram: Dict[str, List[int]]):
    """Returns a figure with a group of bars for each score.

    Args:
        histogram: number of ratings with each score from 0 on, by system.
    """
    figure = new_figure(WIDTH, HEIGHT, layout="constrained")
    axes = figure.add_subplot()
    width = SHARE_OF_GAP / len(histogram)
    for place, (system, counts) in enumerate(histogram.items()):
        left = (place - (len(histogram) - 1) / 2) * width
        total = max(sum(counts), 1)
        axes.bar(
            [score + left for score in range(len(counts))],
            [100 * count / total for count in counts],
            width=width,
            label=system.replace("$", r"\$"),  # dollar signs in names must not start mathematics
        )
    axes.set_xlabel("score")
    axes.set_ylabel("ratings (%)")
    axes.legend()
    return figure
