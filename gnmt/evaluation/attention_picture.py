"""SVG picture of the attention for an HTML page: one row for each target token, and the coverage below."""

from xml.etree.ElementTree import Element

from gnmt.evaluation.html_page import element
from gnmt.evaluation.system_output import Attention

CELL = 16  # pixels
LETTER = 7  # approximate width of a letter, in pixels
SMALLEST = 0.01  # weights below it are not drawn


def attention_picture(attention: Attention) -> Element:
    """Returns an `svg` element. The opacity of a cell is its attention weight, which is also shown on hover."""
    coverage = [min(1.0, sum(column)) for column in zip(*attention.weights)]
    left = LETTER * max(len("coverage"), *map(len, attention.target)) + 8
    top = LETTER * max(map(len, attention.source)) + 8
    labels = [_source_label(token, left + CELL * column, top) for column, token in enumerate(attention.source)]
    for row, token in enumerate(attention.target):
        labels.append(_row_label(token, left, top + CELL * row))
    below = top + CELL * len(attention.target) + CELL // 2
    labels.append(_row_label("coverage", left, below))
    cells = [
        _cell(weight, left + CELL * column, top + CELL * row, f"{source} → {target}: {weight:.2f}")
        for row, (target, weights) in enumerate(zip(attention.target, attention.weights))
        for column, (source, weight) in enumerate(zip(attention.source, weights))
        if weight >= SMALLEST
    ]
    cells += [
        _cell(weight, left + CELL * column, below, f"{source}: {weight:.2f}")
        for column, (source, weight) in enumerate(zip(attention.source, coverage))
    ]
    width, height = left + CELL * len(attention.source) + 4, below + CELL + 4
    words = f"Attention of {len(attention.target)} target tokens to {len(attention.source)} source tokens"
    return element("svg", *labels, *cells, width=width, height=height, role="img", aria_label=words)


def _cell(weight: float, x: int, y: int, words: str) -> Element:
    size = CELL - 1
    opacity = f"{min(max(weight, 0.0), 1.0):.2f}"
    return element("rect", element("title", words), x=x, y=y, width=size, height=size, fill_opacity=opacity)


def _row_label(text: str, left: int, y: int) -> Element:
    return element("text", text, x=left - 4, y=y + CELL - 4, text_anchor="end")


def _source_label(text: str, x: int, top: int) -> Element:
    return element("text", text, transform=f"translate({x + CELL - 4} {top - 4}) rotate(-90)")
