#!/usr/bin/env python3
"""Draws the pictures of the documentation: the network, and the speed chart from docs/data/speed.json.

    python scripts/docs_pictures.py

Other pictures come from commands: curves and attention from `gnmt plot`, cost from benchmarks/plot_growth.py, page and
rating from the browser tests.
"""

import json
from pathlib import Path
from typing import Dict, Tuple

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
ENCODER, DECODER, ATTENTION, OTHER = "#cfe2f3", "#d9ead3", "#fce5cd", "#eeeeee"


def box(axes: Axes, place: Tuple[float, float], size: Tuple[float, float], text: str, colour: str) -> None:
    """Draws a box with a text, by the place of its lower left corner."""
    patch = FancyBboxPatch(
        place, *size, boxstyle="round,pad=0.02,rounding_size=0.08", facecolor=colour, edgecolor="#444444"
    )
    axes.add_patch(patch)
    axes.text(place[0] + size[0] / 2, place[1] + size[1] / 2, text, ha="center", va="center", fontsize=9)


def arrow(
    axes: Axes, start: Tuple[float, float], end: Tuple[float, float], bend: float = 0.0, colour: str = "#444444"
) -> None:
    """Draws an arrow; `bend` curves it."""
    style = {"arrowstyle": "->", "color": colour, "connectionstyle": f"arc3,rad={bend}", "lw": 1.2}
    axes.annotate("", xy=end, xytext=start, arrowprops=style)


def network(path: Path) -> None:
    """Draws encoder, attention and decoder with four layers each."""
    figure, axes = pyplot.subplots(figsize=(9, 5.4))
    size = (2.6, 0.5)
    layers = ["bidirectional LSTM", "LSTM", "LSTM + residual", "LSTM + residual"]
    box(axes, (0.5, 0.0), size, "source embeddings", OTHER)
    for level, name in enumerate(layers):
        box(axes, (0.5, 0.9 + 0.9 * level), size, name, ENCODER)
        arrow(axes, (1.8, 0.53 + 0.9 * level), (1.8, 0.87 + 0.9 * level))
    box(axes, (6.4, 0.0), size, "target embeddings", OTHER)
    names = ["LSTM (attention query)", "LSTM", "LSTM + residual", "LSTM + residual"]
    for level, name in enumerate(names):
        box(axes, (6.4, 0.9 + 0.9 * level), size, name, DECODER)
        arrow(axes, (7.7, 0.53 + 0.9 * level), (7.7, 0.87 + 0.9 * level))
    box(axes, (6.4, 4.5), size, "linear + softmax", OTHER)
    arrow(axes, (7.7, 4.13), (7.7, 4.47))
    box(axes, (3.9, 2.1), (1.7, 0.7), "attention", ATTENTION)
    arrow(axes, (3.13, 3.85), (4.4, 2.85), -0.25)
    axes.text(3.62, 3.95, "keys and values", fontsize=8, ha="left")
    arrow(axes, (6.37, 1.15), (4.75, 2.07), -0.25)
    axes.text(4.62, 1.18, "query", fontsize=8)
    for level in (1, 2, 3):
        arrow(axes, (5.63, 2.45), (6.37, 1.15 + 0.9 * level), 0.0, "#b45f06")
    axes.text(5.3, 3.05, "context, to every\nupper layer", fontsize=8, ha="center")
    for left in (0.5, 6.4):
        for level in (2, 3):
            arrow(axes, (left + 2.63, 1.0 + 0.9 * (level - 1)), (left + 2.63, 1.4 + 0.9 * level), 0.9, "#888888")
    axes.set_xlim(0.2, 9.9)
    axes.set_ylim(-0.2, 5.2)
    axes.axis("off")
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})
    pyplot.close(figure)


def speed(numbers: Dict[str, Dict[str, float]], machine: str, path: Path) -> None:
    """Draws a bar for each other system: its time divided by ours."""
    figure, panels = pyplot.subplots(
        2, 1, figsize=(9, 5.6), gridspec_kw={"height_ratios": list(map(len, numbers.values()))}
    )
    for axes, (title, ratios) in zip(panels, numbers.items()):
        names = list(ratios)[::-1]
        colours = ["#6aa84f" if "ours int8" in name else "#6fa8dc" for name in names]
        axes.barh(names, [ratios[name] for name in names], color=colours)
        axes.bar_label(axes.containers[0], fmt="%.2g", padding=3, fontsize=8)
        axes.axvline(1, color="#444444", lw=1)
        axes.set_xlim(0, 11)
        axes.set_title(f"{title}: time of another system / ours", fontsize=10, loc="left")
        axes.tick_params(labelsize=8)
    figure.text(0.01, 0.005, machine, fontsize=8)
    figure.tight_layout(rect=(0, 0.02, 1, 1))
    figure.savefig(path, dpi=110, metadata={"Software": None})
    pyplot.close(figure)


def main() -> None:
    matplotlib.rcParams["svg.hashsalt"] = "fairseq-gnmt"  # the same file for the same picture
    network(DOCS / "images" / "network.svg")
    content = json.loads((DOCS / "data" / "speed.json").read_text(encoding="utf-8"))
    machine = content.pop("machine")
    speed(content, machine, DOCS / "images" / "speed.png")


if __name__ == "__main__":
    main()
