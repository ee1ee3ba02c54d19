"""Attention maps of translations, between tokens or between words, and their pictures.

Shapes: T target tokens, S source tokens, both including EOS.
"""

from typing import Callable, Dict, List, NamedTuple, Sequence

import numpy as np

from gnmt.plots.pictures import below_each_other, new_figure, to_png
from gnmt.tokenizers.word_tokenizer import END, MIDDLE, SPACE_MARK, decode

END_MARK = "</s>"
CONTINUED = "@@"  # subword-nmt's mark at the end of a token that does not end its word

CELL = 0.27  # inches, the height of a line of text
MAX_SIDE_INCHES = 100.0  # maximum side in inches; cells of longer sentences are smaller
FONT_POINTS = 9.0
POINTS_PER_INCH = 72
GAP, BARS, COLOURS = 0.12, 0.9, 0.12  # inches: space between parts, height of the bars, width of the colour scale


class AttentionMap(NamedTuple):
    """Attention of one translation, between tokens or words."""

    number: int  # number of the sentence
    score: float
    source: List[str]  # S words
    target: List[str]  # T words
    weights: np.ndarray  # (T, S)

    @property
    def coverage(self) -> np.ndarray:
        """Attention on each source token, summed over the target tokens, (S,)."""
        return self.weights.sum(axis=0)

    @property
    def title(self) -> str:
        """Title of the picture."""
        return f"sentence {self.number}, score {self.score:.3f}"


class SubwordScheme(NamedTuple):
    """Rules for joining tokens to words."""

    begins_word: Callable[[str, str], bool]  # function of the previous and the current token
    text: Callable[[Sequence[str]], str]  # function of the tokens of a word


SCHEMES: Dict[str, SubwordScheme] = {
    "sentencepiece": SubwordScheme(
        lambda before, piece: piece.startswith(SPACE_MARK),
        lambda pieces: "".join(pieces).replace(SPACE_MARK, "") or SPACE_MARK,
    ),
    "subword_nmt": SubwordScheme(
        lambda before, piece: not before.endswith(CONTINUED),
        lambda pieces: "".join(piece.removesuffix(CONTINUED) for piece in pieces),
    ),
    "mixed_word_char": SubwordScheme(
        lambda before, piece: not piece.startswith((MIDDLE, END)),
        lambda pieces: decode(" ".join(pieces)).strip() or SPACE_MARK,
    ),
}


def word_starts(pieces: Sequence[str], scheme: SubwordScheme) -> List[int]:
    """Returns the indices at which words begin; EOS is a separate word.

    Args:
        pieces: tokens.
        scheme: rules for joining tokens to words.
    """
    return [
        index
        for index, piece in enumerate(pieces)
        if index == 0 or piece == END_MARK or scheme.begins_word(pieces[index - 1], piece)
    ]


def of_words(pieces: AttentionMap, scheme: SubwordScheme) -> AttentionMap:
    """Returns an attention map between words.

    The attention on a source word is the sum over its subwords. The attention from a target word is the mean over its
    subwords, so each row still sums to 1.

    Args:
        pieces: attention map between tokens.
        scheme: rules for joining tokens to words.
    """
    source, target = word_starts(pieces.source, scheme), word_starts(pieces.target, scheme)
    sums = np.add.reduceat(np.add.reduceat(pieces.weights, source, axis=1), target, axis=0)
    sizes = np.diff([*target, len(pieces.target)])
    return pieces._replace(
        source=_texts(pieces.source, source, scheme),
        target=_texts(pieces.target, target, scheme),
        weights=sums / sizes[:, None],
    )


def _texts(pieces: Sequence[str], starts: Sequence[int], scheme: SubwordScheme) -> List[str]:
    return [scheme.text(pieces[start:end]) for start, end in zip(starts, [*starts[1:], len(pieces)])]


def draw(attention: AttentionMap):
    """Returns a figure: the attention map above, the coverage of the source below.

    Labels are outside the figure, so it must be saved with tight bounds.
    """
    rows, columns = attention.weights.shape
    cell_width, cell_height = (min(CELL, MAX_SIDE_INCHES / count) for count in (columns, rows))
    map_width, map_height = columns * cell_width, rows * cell_height
    width, height = map_width + GAP + COLOURS, BARS + GAP + map_height
    figure = new_figure(width, height)

    def place(left: float, bottom: float, across: float, up: float):
        return figure.add_axes([left / width, bottom / height, across / width, up / height])

    cells = place(0, BARS + GAP, map_width, map_height)
    image = cells.imshow(attention.weights, cmap="Blues", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    cells.xaxis.tick_top()
    # Dollar signs in the text must not start mathematics.
    cells.set_xticks(range(columns), attention.source, rotation=90, fontsize=_points(cell_width), parse_math=False)
    cells.set_yticks(range(rows), attention.target, fontsize=_points(cell_height), parse_math=False)
    cells.tick_params(length=0)
    cells.set_title(attention.title, loc="left", fontsize=FONT_POINTS + 1)

    bars = place(0, 0, map_width, BARS)
    bars.bar(range(columns), attention.coverage, width=0.8)
    bars.axhline(1.0, color="black", linewidth=0.8, linestyle="--")
    bars.set_xlim(-0.5, columns - 0.5)
    bars.set_xticks([])
    bars.set_ylabel("coverage", fontsize=FONT_POINTS)
    bars.tick_params(labelsize=FONT_POINTS - 1)

    scale = figure.colorbar(image, cax=place(map_width + GAP, BARS + GAP, COLOURS, map_height))
    scale.ax.tick_params(labelsize=FONT_POINTS - 1)
    return figure


def to_pictures(maps: Sequence[AttentionMap], on_one_page: bool) -> List[bytes]:
    """Returns PNG pictures of attention maps: one for each map, or one with all maps below each other.

    Args:
        maps: attention maps.
        on_one_page: True for one picture with all maps.
    """
    pictures = [to_png(draw(attention_map), cut_to_content=True) for attention_map in maps]
    return [below_each_other(pictures)] if on_one_page else pictures


def _points(cell: float) -> float:
    return min(FONT_POINTS, 0.7 * cell * POINTS_PER_INCH)
