r"""Formats that consist of lines: text, TSV and JSON lines. Parquet is in parquet.py.

A line ends at "\n". Each input line has exactly one output line, even if it cannot be translated.
"""

import codecs
import json
from typing import Any, BinaryIO, Callable, Dict, Iterator, List, Sequence, Tuple

from gnmt.bulk.rows import ExtraFields, Row, Rows, TranslatedRow, score_of
from gnmt.files.lines import as_line, bounded_lines, check_not_utf16, one_line

MAX_BYTES = 1 << 26  # maximum size of a shard, unless a single line is larger
TRANSLATION, SCORE, NBEST, PROBLEM = "translation", "score", "nbest", "problem"  # names that the output adds


def cut_lines(stream: BinaryIO, lines_per_shard: int) -> Iterator[Tuple[int, bytes]]:
    """Yields the number of lines and the bytes of each shard. The concatenated shards equal the stream.

    Args:
        stream: uncompressed input.
        lines_per_shard: maximum number of lines of a shard; a shard has fewer if it would exceed MAX_BYTES.

    Raises:
        UserError: if the text is UTF-16, or a line is too long.
    """
    lines: List[bytes] = []
    size = 0
    is_first = True
    for line in bounded_lines(stream, "The input"):
        if is_first:
            check_not_utf16(line, "The input")
        if lines and (len(lines) == lines_per_shard or size + len(line) > MAX_BYTES):
            yield len(lines), b"".join(lines)
            lines, size = [], 0
        lines.append(line)
        size += len(line)
        is_first = False
    if lines:
        yield len(lines), b"".join(lines)


# -- reading a shard


def read_text(content: bytes, column: str) -> Rows:
    """Returns the lines of plain text; bytes that are not UTF-8 are replaced by U+FFFD.

    Args:
        content: shard of the input.
        column: unused.
    """
    return [Row(*decoded(line)) for line in _lines(content)]


def read_tsv(content: bytes, column: str) -> Rows:
    """Returns the lines of a TSV file with the text of one column.

    Args:
        content: shard of the input.
        column: number of the column, from 1.
    """
    rows = []
    for line in _lines(content):
        cells = line.split(b"\t")
        if len(cells) < int(column):
            rows.append(Row("", f"there is no column {column}", line))
        else:
            rows.append(Row(*decoded(cells[int(column) - 1]), line))
    return rows


def read_jsonl(content: bytes, column: str) -> Rows:
    """Returns the lines of a file of JSON objects with the text under one key.

    Args:
        content: shard of the input.
        column: key of the text.
    """
    return [_json_row(line, column) for line in _lines(content)]


def _json_row(line: bytes, key: str) -> Row:
    text, problem = decoded(line)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return Row("", "it is not JSON", {"line": text})
    if not isinstance(value, dict):
        return Row("", "it is not a JSON object", {"line": value})
    if not isinstance(value.get(key), str):
        return Row("", f"it has no text under {key!r}", value)
    return Row(as_line(value[key]), problem, value)


def _lines(content: bytes) -> List[bytes]:
    r"""Returns lines without "\n" and without the "\r" before it; the last line needs no "\n"."""
    lines = content.removeprefix(codecs.BOM_UTF8).removesuffix(b"\n").split(b"\n") if content else []
    return [line.removesuffix(b"\r") for line in lines]


def decoded(line: bytes) -> Tuple[str, str]:
    """Returns the text of a line and the problem with it."""
    try:
        return as_line(line.decode("utf-8")), ""
    except UnicodeDecodeError as error:
        problem = f"it is not UTF-8: it has the byte 0x{line[error.start]:02x}, which is read as U+FFFD"
        return as_line(line.decode("utf-8", errors="replace")), problem


# -- writing the output of a shard: one translation for each row; `extra` selects the fields besides the translation


def write_text(rows: Sequence[Row], translations: Sequence[TranslatedRow], extra: ExtraFields) -> bytes:
    """Returns one line for each translation.

    Args:
        rows: unused.
        translations: one for each row.
        extra: unused.
    """
    return _joined([one_line(translation.text).encode("utf-8") for translation in translations])


def write_tsv(rows: Sequence[Row], translations: Sequence[TranslatedRow], extra: ExtraFields) -> bytes:
    """Returns the lines of a TSV input, or the texts of another input, with the translation in an additional column.

    Args:
        rows: rows of the input.
        translations: one for each row.
        extra: fields to write in further columns.
    """
    lines = []
    for row, translation in zip(rows, translations):
        before = row.original if isinstance(row.original, bytes) else _cell(row.text)
        cells = [before, _cell(translation.text)]
        if extra.score:
            score = score_of(row, translation)
            cells.append(b"" if score is None else f"{score:.6f}".encode())
        lines.append(b"\t".join(cells))
    return _joined(lines)


def write_jsonl(rows: Sequence[Row], translations: Sequence[TranslatedRow], extra: ExtraFields) -> bytes:
    """Returns the objects of a JSON lines input, or objects with the texts of another input, with the translations.

    Args:
        rows: rows of the input.
        translations: one for each row.
        extra: fields to write under further keys.
    """
    lines = []
    for row, translation in zip(rows, translations):
        content: Dict[str, Any] = dict(row.original) if isinstance(row.original, dict) else {"text": row.text}
        content[TRANSLATION] = translation.text
        if extra.score:
            score = score_of(row, translation)
            content[SCORE] = None if score is None else round(score, 6)
        if extra.nbest:
            content[NBEST] = [{"text": other.text, "score": round(other.score, 6)} for other in translation.nbest]
        if row.problem:
            content[PROBLEM] = row.problem
        # A lone surrogate is written as an escape sequence, which is valid JSON.
        lines.append(json.dumps(content, ensure_ascii=False).encode("utf-8", errors="backslashreplace"))
    return _joined(lines)


def _cell(text: str) -> bytes:
    return one_line(text).replace("\t", " ").encode("utf-8")


def _joined(lines: Sequence[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)


READERS: Dict[str, Callable[[bytes, str], Rows]] = {"text": read_text, "tsv": read_tsv, "jsonl": read_jsonl}
WRITERS: Dict[str, Callable[[Sequence[Row], Sequence[TranslatedRow], ExtraFields], bytes]] = {
    "text": write_text, "tsv": write_tsv, "jsonl": write_jsonl,
}  # fmt: skip
