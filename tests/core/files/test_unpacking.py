"""Tests decompression: the format is detected from the content, and truncated files are refused.

Expected content is written by hand.
"""

import gzip
import io
import lzma
from pathlib import Path

import pytest
import zstandard

from gnmt.errors import UserError
from gnmt.files.lines import read_chunks
from gnmt.files.unpacking import BLOCK, open_unpacked

SKIPPABLE_FRAME = b"\x50\x2a\x4d\x18" + (4).to_bytes(4, "little") + b"size"
PACKERS = {"gzip": gzip.compress, "xz": lzma.compress, "zstd": zstandard.compress}
TEXT = "".join(f"line {number} é\n" for number in range(3000)).encode("utf-8")


def unpacked(path: Path) -> bytes:
    with open_unpacked(path) as file:
        return file.read()


@pytest.fixture(params=PACKERS)
def packer(request):
    return PACKERS[request.param]


def test_a_plain_file_is_read_as_it_is(tmp_path):
    for name, content in (("empty", b""), ("short.gz", b"a"), ("text.zst", TEXT)):
        (tmp_path / name).write_bytes(content)
        assert unpacked(tmp_path / name) == content


def test_a_packed_file_is_detected_by_its_content(packer, tmp_path):
    path = tmp_path / "text"
    path.write_bytes(packer(TEXT))
    assert unpacked(path) == TEXT
    with open_unpacked(path) as file:
        assert list(file) == TEXT.splitlines(keepends=True)
    assert b"".join(read_chunks(path)) == TEXT


def test_all_parts_of_a_packed_file_are_read(packer, tmp_path):
    path = tmp_path / "text"
    path.write_bytes(packer(TEXT) + packer(b"") + packer(b"the end\n"))
    assert unpacked(path) == TEXT + b"the end\n"


def test_a_file_of_pzstd_begins_with_a_skippable_frame(tmp_path):
    path = tmp_path / "text"
    path.write_bytes(SKIPPABLE_FRAME + zstandard.compress(TEXT) + SKIPPABLE_FRAME + zstandard.compress(TEXT))
    assert unpacked(path) == 2 * TEXT


def test_more_than_one_block_of_zstd(tmp_path):
    content = io.BytesIO()
    # the content does not fit into one compressed block
    content.write(b"".join(number.to_bytes(4, "big") for number in range(BLOCK)))
    path = tmp_path / "text"
    path.write_bytes(zstandard.ZstdCompressor(level=-5).compress(content.getvalue()))
    assert path.stat().st_size > BLOCK
    assert unpacked(path) == content.getvalue()


@pytest.mark.parametrize("lost", [1, 40])
def test_a_truncated_packed_file_is_refused(packer, lost, tmp_path):
    path = tmp_path / "text"
    path.write_bytes(packer(TEXT)[:-lost])
    with pytest.raises(UserError, match="text is not a complete (gzip|xz|zstd) file .*: fetch it again"):
        unpacked(path)
    with pytest.raises(UserError, match="not a complete"):
        list(read_chunks(path))


def test_trailing_data_is_refused(packer, tmp_path):
    path = tmp_path / "text"
    path.write_bytes(packer(TEXT) + b"no further part of this file")
    with pytest.raises(UserError, match="text is not a complete (gzip|xz|zstd) file"):
        unpacked(path)


def test_zeros_may_stand_between_the_parts_of_xz(tmp_path):
    path = tmp_path / "text"
    path.write_bytes(lzma.compress(TEXT) + bytes(8) + lzma.compress(TEXT) + bytes(4))
    assert unpacked(path) == 2 * TEXT


@pytest.mark.parametrize("pack", [lzma.compress, zstandard.compress])
def test_a_small_file_of_a_long_text_is_unpacked_in_small_blocks(pack, tmp_path):
    size = 1 << 26
    path = tmp_path / "text"
    path.write_bytes(pack(bytes(size)))
    with open_unpacked(path) as file:
        blocks = [len(block) for block in file.raw._blocks]
    assert sum(blocks) == size and max(blocks) <= 1 << 25
    assert len(unpacked(path)) == size  # many small reads, none of which copies the remaining block
