"""Tests that fairseq's readers end lines where `gnmt.files.lines` does. Expected lines are written by hand."""

from pathlib import Path

import pytest
from fairseq import utils
from fairseq.data import Dictionary
from fairseq.data.indexed_dataset import IndexedRawTextDataset
from fairseq.file_chunker_utils import Chunker, find_offsets

from conftest import make_dictionary
from fairseq_gnmt.errors import explain

TEXT = "\ufeffw0 w1\rw2\r\n\nw1\u2028w0 \x85\n".encode("utf-8")


def test_raw_data_sets(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(TEXT)
    dictionary = make_dictionary(8)
    sentences = IndexedRawTextDataset(str(path), dictionary)
    words = [[dictionary[token] for token in sentences[index]] for index in range(len(sentences))]
    assert words == [["w0", "w1", "w2", "</s>"], ["</s>"], ["w1", "w0", "</s>"]]
    assert [sentences.get_original_text(index) for index in range(3)] == ["w0 w1 w2", "", "w1\u2028w0 \x85"]


def test_raw_data_set_that_is_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(b"w0\nw\xe41\n")
    with pytest.raises(UnicodeDecodeError) as caught:
        IndexedRawTextDataset(str(path), make_dictionary(8))
    assert f"{path} is not UTF-8" in explain(caught.value, caught.value.__traceback__)


def test_dictionaries(tmp_path: Path) -> None:
    path = tmp_path / "dict.txt"
    path.write_bytes("\ufeffthe 3\r\na\rb 2\n\u2028 1\n".encode("utf-8"))
    dictionary = Dictionary.load(str(path))
    assert dictionary.symbols[dictionary.nspecial :] == ["the", "a\rb", "\u2028"]


def test_alignment_dictionaries(tmp_path: Path) -> None:
    path = tmp_path / "align"
    path.write_bytes("\ufeffRome\tRom\r\nVienna Wien\n".encode("utf-8"))
    assert utils.load_align_dict(str(path)) == {"Rome": "Rom", "Vienna": "Wien"}


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_preprocess_cuts_files_at_newlines(tmp_path: Path, workers: int) -> None:
    path = tmp_path / "text"
    path.write_bytes(TEXT)
    offsets = find_offsets(str(path), workers)
    all_lines = []
    for start, end in zip(offsets, offsets[1:]):
        with Chunker(str(path), start, end) as lines:
            all_lines.extend(lines)
    assert all_lines == ["w0 w1\rw2\r\n", "\n", "w1\u2028w0 \x85\n"]
