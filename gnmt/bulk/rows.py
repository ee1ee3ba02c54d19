"""Rows and translations, which all formats of bulk translation share."""

from typing import Any, List, NamedTuple, Optional, Sequence


class Row(NamedTuple):
    """A line of text, TSV or JSON lines, or a row of Parquet."""

    text: str  # text to translate, one line; empty if there is none
    problem: str = ""  # why the text is missing or was changed; empty if there is no problem
    original: Any = None  # copied to the output: bytes of a TSV line, or a JSON object


class ScoredText(NamedTuple):
    """A hypothesis with its score."""

    text: str
    score: float


class TranslatedRow(NamedTuple):
    """Translation of a row."""

    text: str
    score: float = 0.0
    nbest: Sequence[ScoredText] = ()  # best first; empty for a blank text
    is_truncated: bool = False


def score_of(row: Row, translation: TranslatedRow) -> Optional[float]:
    """Returns the score of a translation; None for a row without a text.

    Args:
        row: row of the input.
        translation: translation of its text.
    """
    return translation.score if row.text else None


class ExtraFields(NamedTuple):
    """Optional fields of the output: True if a field is written besides the translation."""

    score: bool
    nbest: bool


Rows = List[Row]
