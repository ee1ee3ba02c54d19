"""Tests LineSource, which reads complete lines of a stream with or without waiting.

Expected lines are written by hand.
"""

import os
import threading

import pytest

from gnmt.files.line_source import LineSource


@pytest.fixture
def pipe():
    """Fixture: a readable stream and the file descriptor that writes to it."""
    reading, writing = os.pipe()
    with open(reading, "rb", buffering=0) as stream:
        yield stream, writing


def test_lines_longer_than_a_read_are_whole(tmp_path):
    lines = ["a" * 200_000, "b", "", "c" * 70_000]
    (tmp_path / "text").write_text("\n".join(lines), encoding="utf-8")
    with open(tmp_path / "text", "rb", buffering=0) as stream:
        source, received = LineSource(stream, warn=pytest.fail), []
        while (texts := source.next_texts(2, wait=True)) is not None:
            assert len(texts) <= 2
            received += texts
    assert received == lines


def test_without_waiting_only_complete_lines_are_returned(pipe):
    stream, writing = pipe
    source = LineSource(stream, warn=pytest.fail)
    assert source.next_texts(9, wait=False) == []
    os.write(writing, b"one\ntwo\nthr")
    assert source.next_texts(1, wait=False) == ["one"]
    assert source.next_texts(9, wait=False) == ["two"]
    assert source.next_texts(9, wait=False) == []
    os.write(writing, b"ee")
    os.close(writing)
    assert source.next_texts(9, wait=False) == ["three"]
    assert source.next_texts(9, wait=False) is None and source.next_texts(9, wait=True) is None


def test_waiting_ends_with_the_first_complete_line(pipe):
    stream, writing = pipe
    source = LineSource(stream, warn=pytest.fail)
    os.write(writing, b"on")
    writer = threading.Timer(0.2, os.write, [writing, b"e\n"])
    writer.start()
    assert source.next_texts(9, wait=True) == ["one"]
    writer.join()
    os.close(writing)
    assert source.next_texts(9, wait=True) is None


def test_invalid_utf8_is_reported_by_line(pipe):
    stream, writing = pipe
    warnings = []
    source = LineSource(stream, warnings.append)
    os.write(writing, b"one\ntw\xe4\n")
    os.close(writing)
    assert source.next_texts(9, wait=True) == ["one", "tw\ufffd"]
    assert len(warnings) == 1 and warnings[0].startswith("line 2 is not UTF-8")
