"""Tests files that are compressed according to their suffix. Written content must be read back."""

from pathlib import Path

import pytest

from gnmt.files.packing import packed
from gnmt.files.unpacking import SUFFIXES, open_unpacked

TEXT = "Grüße\n".encode() * 1000


def write(path: Path) -> bytes:
    with open(path, "wb") as file:
        with packed(file, path) as packing:
            packing.write(TEXT[:100])
            packing.write(TEXT[100:])
        assert not file.closed
    return path.read_bytes()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_packed_text_is_read_back(tmp_path, suffix):
    content = write(tmp_path / f"text{suffix}")
    assert (content == TEXT) == (suffix == "")
    with open_unpacked(tmp_path / f"text{suffix}") as file:
        assert file.read() == TEXT


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_bytes_depend_on_the_content_only(tmp_path, suffix):
    assert write(tmp_path / f"one{suffix}") == write(tmp_path / f"other{suffix}")
