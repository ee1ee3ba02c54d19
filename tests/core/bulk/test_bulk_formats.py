"""Tests the formats of bulk translation: each input line gives one output line, also if it is malformed.

Expected lines are written by hand.
"""

import io
import json

import pytest

from gnmt.bulk import formats
from gnmt.bulk.formats import cut_lines, read_jsonl, read_text, read_tsv, write_jsonl, write_text, write_tsv
from gnmt.bulk.rows import ExtraFields, Row, ScoredText, TranslatedRow
from gnmt.errors import UserError

PLAIN = ExtraFields(score=False, nbest=False)
NOT_UTF8 = "it is not UTF-8: it has the byte 0xff, which is read as U+FFFD"


def cut(content: bytes, lines: int) -> list:
    return list(cut_lines(io.BytesIO(content), lines))


# -- cutting


@pytest.mark.parametrize(
    "content, shards",
    [
        (b"", []),
        (b"\n", [(1, b"\n")]),
        (b"a\nb\nc\n", [(2, b"a\nb\n"), (1, b"c\n")]),
        (b"a\nb\nc\nd", [(2, b"a\nb\n"), (2, b"c\nd")]),  # the last line has no newline
        (b"a\xe2\x80\xa8b\rc\x85\n", [(1, b"a\xe2\x80\xa8b\rc\x85\n")]),  # only \n ends a line
    ],
)
def test_shards_have_whole_lines_and_all_bytes(content, shards):
    assert cut(content, 2) == shards


def test_a_shard_of_long_lines_has_fewer(monkeypatch):
    monkeypatch.setattr(formats, "MAX_BYTES", 6)
    assert cut(b"aa\nbb\nccccccccc\nd\n", 100) == [(2, b"aa\nbb\n"), (1, b"ccccccccc\n"), (1, b"d\n")]


def test_utf_16_is_refused():
    with pytest.raises(UserError, match="UTF-16, not UTF-8: convert it"):
        cut("two dogs\n".encode("utf-16"), 2)


# -- text


def test_lines_of_text():
    content = b"\xef\xbb\xbfone \r\n\n  two\tcells \na\xffb\nlast"
    assert read_text(content, "") == [Row("one"), Row(""), Row("two\tcells"), Row("a\ufffdb", NOT_UTF8), Row("last")]
    assert read_text(b"", "") == []
    assert read_text(b"\n", "") == [Row("")]


def test_a_translation_is_one_line_of_text():
    assert write_text([Row("a"), Row("b")], [TranslatedRow("x\ny\rz"), TranslatedRow("")], PLAIN) == b"x y z\n\n"


# -- TSV


def test_a_column_of_tsv():
    content = b"1\tone\r\n2\n3\t\xff\tx\n"
    rows = [
        Row("one", "", b"1\tone"),
        Row("", "there is no column 2", b"2"),
        Row("\ufffd", NOT_UTF8, b"3\t\xff\tx"),
    ]
    assert read_tsv(content, "2") == rows
    translations = [TranslatedRow("e\tins", -0.25), TranslatedRow(""), TranslatedRow("drei", -1.5)]
    assert write_tsv(rows, translations, PLAIN) == b"1\tone\te ins\n2\t\n3\t\xff\tx\tdrei\n"
    assert write_tsv(rows, translations, ExtraFields(score=True, nbest=False)) == (
        b"1\tone\te ins\t-0.250000\n2\t\t\n3\t\xff\tx\tdrei\t-1.500000\n"
    )


def test_text_becomes_tsv():
    assert write_tsv([Row("a\tb")], [TranslatedRow("c")], PLAIN) == b"a b\tc\n"


# -- JSON lines


def test_a_key_of_json_lines():
    content = b'{"id": 1, "text": " one\\nline "}\nnonsense\n[1]\n{"text": 3}\n\n{"text": "\xff"}\n'
    rows = read_jsonl(content, "text")
    assert [(row.text, row.problem) for row in rows] == [
        ("one line", ""),
        ("", "it is not JSON"),
        ("", "it is not a JSON object"),
        ("", "it has no text under 'text'"),
        ("", "it is not JSON"),
        ("\ufffd", NOT_UTF8),
    ]
    written = write_jsonl(rows, [TranslatedRow(f"t{number}") for number in range(6)], PLAIN).decode().splitlines()
    assert [json.loads(line) for line in written] == [
        {"id": 1, "text": " one\nline ", "translation": "t0"},
        {"line": "nonsense", "translation": "t1", "problem": "it is not JSON"},
        {"line": [1], "translation": "t2", "problem": "it is not a JSON object"},
        {"text": 3, "translation": "t3", "problem": "it has no text under 'text'"},
        {"line": "", "translation": "t4", "problem": "it is not JSON"},
        {"text": "\ufffd", "translation": "t5", "problem": NOT_UTF8},
    ]


def test_nested_and_long_json_does_not_end_the_work():
    rows = read_jsonl(b"[" * 100_000 + b"\n" + b"1" * 10_000 + b"\n", "text")
    assert [row.problem for row in rows] == ["it is not JSON"] * 2


def test_scores_and_n_best_lists_of_json_lines():
    best = [ScoredText("x", -0.1), ScoredText("y", -0.2)]
    line = write_jsonl([Row("a")], [TranslatedRow("x", -0.1234567, best)], ExtraFields(score=True, nbest=True))
    assert json.loads(line) == {
        "text": "a",
        "translation": "x",
        "score": -0.123457,
        "nbest": [{"text": "x", "score": -0.1}, {"text": "y", "score": -0.2}],
    }


def test_a_line_without_a_text_has_no_score():
    rows = read_jsonl(b'nonsense\n{"id": 1}\n{"text": " "}\n{"text": "a"}\n', "text")
    translations = [TranslatedRow("")] * 3 + [TranslatedRow("b", 0.0)]
    written = write_jsonl(rows, translations, ExtraFields(score=True, nbest=False))
    assert [json.loads(line)["score"] for line in written.splitlines()] == [None, None, None, 0.0]


def test_a_lone_surrogate_stays_an_escape():
    (row,) = read_jsonl(b'{"text": "a\\ud800b"}', "text")
    assert row.text == "a\ufffdb"
    assert write_jsonl([row], [TranslatedRow("c")], PLAIN) == b'{"text": "a\\ud800b", "translation": "c"}\n'


def test_a_line_larger_than_memory_is_reported(monkeypatch):
    monkeypatch.setattr("gnmt.files.lines.MAX_LINE_BYTES", 10)
    with pytest.raises(UserError, match="The input, line 2 has more than 10 bytes"):
        cut(b"ten bytes\neleven ....\n", 5)
