"""Files of parallel text: where lines end, and files that are refused."""
import gzip
from pathlib import Path

import pytest

from fairseq_gnmt.data import parallel_text
from fairseq_gnmt.errors import UserError
from fairseq_gnmt.data.parallel_text import check_files, count_lines, read_chunks, split_lines


def test_lines_end_at_newlines_only(tmp_path: Path) -> None:
    text = "a\rb\u2028c\x85d\x1ce\x0bf\n\ng\r\n"
    path = tmp_path / "text"
    path.write_bytes(text.encode("utf-8"))
    assert count_lines(path) == 3
    assert split_lines(path.read_bytes()) == ["a\rb\u2028c\x85d\x1ce\x0bf", "", "g\r"]


@pytest.mark.parametrize("data, lines", [(b"a", ["a"]), (b"a\n", ["a"]), (b"a\n\n", ["a", ""]), (b"\n", [""])])
def test_last_line_with_and_without_end(tmp_path: Path, data: bytes, lines: list) -> None:
    path = tmp_path / "text"
    path.write_bytes(data)
    assert split_lines(data) == lines
    assert count_lines(path) == len(lines)


def test_chunks_are_whole_lines_and_gzip_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel_text, "LINES_PER_CHUNK", 2)
    data = b"a\nb\nc\nd\ne"
    plain, packed = tmp_path / "text", tmp_path / "text.gz"
    plain.write_bytes(data)
    packed.write_bytes(gzip.compress(data))
    assert list(read_chunks(plain)) == list(read_chunks(packed)) == [b"a\nb\n", b"c\nd\n", b"e"]


def test_gzip_is_told_by_its_content(tmp_path: Path) -> None:
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


def test_text_that_is_not_utf8_is_found_to_the_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel_text, "LINES_PER_CHUNK", 2)  # the bad line is the second of its chunk
    path = tmp_path / "text"
    path.write_bytes(b"one\ntwo\nthree\nf\xfcnf\nsix\n")
    with pytest.raises(UserError, match="not UTF-8: line 4 has the byte 0xfc"):
        count_lines(path)


def test_utf_16_is_not_taken_for_latin_1(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes("one\n".encode("utf-16"))
    with pytest.raises(UserError, match="iconv -f utf-16 -t utf-8"):
        count_lines(path)
