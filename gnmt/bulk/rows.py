"""Rows and translations, which all formats of bulk translation share."""

from typing import Any, List, NamedTuple, Sequence


class Row(NamedTuple):
    """A line of text, TSV or JSON lines, or a row of Parquet."""

    text: str  # text to translate, one line; empty if there is none
    problem: str = ""  # reason why the text is missing or was changed; empty if there is none
    original: Any = None  # copied to the output: bytes of a TSV line, or a JSON object


class Scored(NamedTuple):
    """A hypothesis with its score."""

    text: str
    score: float


class Translated(NamedTuple):
    """Translation of a row."""

    text: str
    score: float = 0.0
    nbest: Sequence[Scored] = ()  # best first; empty for a blank text
    is_truncated: bool = False


class Added(NamedTuple):
    """Parts of translations that are written in addition to the text."""

    score: bool
    nbest: bool


Rows = List[Row]
