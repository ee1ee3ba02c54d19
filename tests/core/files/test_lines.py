"""Tests reading of text lines: line ends, byte order marks and invalid UTF-8. Expected lines are written by hand."""

import gzip
import io
from pathlib import Path

import pytest

from gnmt.errors import UserError
from gnmt.files.lines import as_line, check_files, count_lines, one_line, read_chunks, read_stream, split_lines


def test_lines_end_at_newlines_only(tmp_path: Path) -> None:
    text = "a\rb\u2028c\x85d\x1ce\x0bf\n\ng\r\n"
    path = tmp_path / "text"
    path.write_bytes(text.encode("utf-8"))
    assert count_lines(path) == 3
    assert split_lines(path.read_bytes()) == ["a\rb\u2028c\x85d\x1ce\x0bf", "", "g\r"]


@pytest.mark.parametrize("data, expected", [(b"a", ["a"]), (b"a\n", ["a"]), (b"a\n\n", ["a", ""]), (b"\n", [""])])
def test_last_line_with_and_without_end(tmp_path: Path, data: bytes, expected: list) -> None:
    path = tmp_path / "text"
    path.write_bytes(data)
    assert split_lines(data) == expected
    assert count_lines(path) == len(expected)


def test_chunks_are_whole_lines_and_gzip_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gnmt.files.lines.LINES_PER_CHUNK", 2)
    data = b"a\nb\nc\nd\ne"
    plain, packed = tmp_path / "text", tmp_path / "text.gz"
    plain.write_bytes(data)
    packed.write_bytes(gzip.compress(data))
    assert list(read_chunks(plain)) == list(read_chunks(packed)) == [b"a\nb\n", b"c\nd\n", b"e"]


def test_gzip_is_detected_by_its_content(tmp_path: Path) -> None:
    packed, plain = tmp_path / "text", tmp_path / "text.gz"
    packed.write_bytes(gzip.compress(b"a\n"))
    plain.write_bytes(b"a\n")
    assert list(read_chunks(packed)) == list(read_chunks(plain)) == [b"a\n"]


def test_byte_order_mark_is_dropped_at_the_start_only(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes("\ufeffa\n\ufeffb\n".encode("utf-8"))
    assert split_lines(b"".join(read_chunks(path))) == ["a", "\ufeffb"]


def test_refused_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing.en does not exist"):
        check_files([tmp_path / "nothing.en"])
    with pytest.raises(UserError, match="not a regular file"):
        check_files([tmp_path])
    empty, packed, cut = tmp_path / "empty", tmp_path / "empty.gz", tmp_path / "cut.gz"
    empty.write_bytes(b"")
    packed.write_bytes(gzip.compress(b""))
    cut.write_bytes(gzip.compress(b"some text\n" * 1000)[:-20])
    for path in (empty, packed):
        with pytest.raises(UserError, match=f"{path.name} is empty"):
            count_lines(path)
    with pytest.raises(UserError, match="cut.gz is not a complete gzip file"):
        count_lines(cut)


def test_invalid_utf8_is_reported_with_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gnmt.files.lines.LINES_PER_CHUNK", 2)  # the invalid line is the second of its chunk
    path = tmp_path / "text"
    path.write_bytes(b"one\ntwo\nthree\nf\xfcnf\nsix\n")
    with pytest.raises(UserError, match="not UTF-8: line 4 has the byte 0xfc"):
        count_lines(path)


def test_utf_16_is_not_taken_for_latin_1(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes("one\n".encode("utf-16"))
    with pytest.raises(UserError, match="iconv -f utf-16 -t utf-8"):
        count_lines(path)


def read(data: bytes) -> tuple:
    """Returns the lines of a stream and the warnings about them."""
    warnings: list = []
    return list(read_stream(io.BytesIO(data), warnings.append)), warnings


@pytest.mark.parametrize(
    "data, expected",
    [
        (b"", []),
        (b"a", ["a"]),
        (b"a\n", ["a"]),
        (b"\n\na", ["", "", "a"]),
        (b"a\r\nb\r\n", ["a", "b"]),
        (b"a\rb\nc", ["a\rb", "c"]),
        ("a\u2028b\x85c\x1cd\x0be\x00f\n".encode("utf-8"), ["a\u2028b\x85c\x1cd\x0be\x00f"]),
        (b" \t a b \n\xc2\xa0\n", ["a b", ""]),
        ("\ufeffa\n\ufeffb\n".encode("utf-8"), ["a", "\ufeffb"]),
    ],
)
def test_text_to_translate(data: bytes, expected: list) -> None:
    assert read(data) == (expected, [])


@pytest.mark.parametrize(
    "data, expected",
    [
        (b"m\xe4n", "m\ufffdn"),
        (b"\xff\xfea", "\ufffd\ufffda"),
        (b"\xed\xa0\x80", "\ufffd\ufffd\ufffd"),  # encodes a lone surrogate
        (b"a\xe2\x82", "a\ufffd"),  # first byte of a character only
        (b"\xf4\x90\x80\x80", "\ufffd\ufffd\ufffd\ufffd"),  # encodes a code point above U+10FFFF
    ],
)
def test_bytes_that_are_not_utf8_are_replaced_with_one_warning_per_line(data: bytes, expected: str) -> None:
    texts, warnings = read(b"one\n" + data + b"\nthree\n" + data)
    assert texts == ["one", expected, "three", expected]
    assert [warning.split(" is not UTF-8")[0] for warning in warnings] == ["line 2", "line 4"]


def test_a_line_is_read_as_soon_as_it_is_complete() -> None:
    def arriving():
        yield b"one\n"
        pytest.fail("the reader waited for the second line")

    assert next(read_stream(arriving(), pytest.fail)) == "one"


def test_one_line_has_no_line_end() -> None:
    assert one_line("a\nb\r\nc\u2028d") == "a b  c\u2028d"


@pytest.mark.parametrize(
    "text, expected",
    [
        ("a\nb", "a b"),
        ("\ufeff a \r\n b\n", "a b"),
        ("a\rb\u2028c", "a\rb\u2028c"),
        ("\n \n", ""),
        ("a\ud83d", "a\ufffd"),
    ],
)
def test_texts_become_one_line(text: str, expected: str) -> None:
    assert as_line(text) == expected


def test_a_line_larger_than_memory_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gnmt.files.lines.MAX_LINE_BYTES", 10)
    path = tmp_path / "text"
    path.write_bytes(b"ten bytes\nten bytes\n10 bytes..")
    assert b"".join(read_chunks(path)) == path.read_bytes()
    path.write_bytes(b"ten bytes\neleven ....\n")
    with pytest.raises(UserError, match="text, line 2 has more than 10 bytes: give text with a sentence on each line"):
        list(read_chunks(path))
