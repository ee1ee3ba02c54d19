"""Rows: what the formats of bulk translation have in common."""

from typing import Any, List, NamedTuple, Sequence


class Row(NamedTuple):
    """A line of text, TSV or JSON lines, or a row of Parquet."""

    text: str  # to translate, one line; empty if there is none
    problem: str = ""  # one sentence; empty if there is none
    original: Any = None  # what the output repeats: bytes of TSV, object of JSON


class Scored(NamedTuple):
    """A hypothesis."""

    text: str
    score: float


class Translated(NamedTuple):
    """Translation of a row."""

    text: str
    score: float = 0.0
    nbest: Sequence[Scored] = ()  # best first; empty for a blank text
    is_truncated: bool = False


class Added(NamedTuple):
    """Parts of translations that are written beside the text."""

    score: bool
    nbest: bool


Rows = List[Row]
