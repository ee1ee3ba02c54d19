"""Tests that damaged data and dictionaries are reported in a sentence that names the file.

Expected messages are written by hand.
"""

import random
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from fairseq.data import Dictionary, data_utils
from fairseq.data.indexed_dataset import MMapIndexedDatasetBuilder

from conftest import make_dictionary
from gnmt.errors import UserError

SENTENCES = [[4, 5, 2], [2], [6, 7, 8, 9, 2]]
HEADER = 26  # sizes in bytes: magic number 9, version 8, type 1, number of sentences 8


@pytest.fixture
def prefix(tmp_path) -> str:
    """Fixture: data with 16-bit ids; the dictionary has all 10 tokens."""
    builder = MMapIndexedDatasetBuilder(str(tmp_path / "train.bin"), dtype=np.uint16)
    for sentence in SENTENCES:
        builder.add_item(torch.tensor(sentence))
    builder.finalize(str(tmp_path / "train.idx"))
    return str(tmp_path / "train")


def load(prefix: str, words: int = 10):
    return data_utils.load_indexed_dataset(prefix, make_dictionary(words), "mmap")


def overwrite(path: str, offset: int, content: bytes) -> None:
    whole = bytearray(Path(path).read_bytes())
    whole[offset : offset + len(content)] = content
    Path(path).write_bytes(whole)


def test_sound_data_is_read(prefix):
    assert [sentence.tolist() for sentence in load(prefix)] == SENTENCES


def test_sentences_of_padding_only_are_reported(tmp_path):
    """PAD within a sentence is a token of the text; the loss of a sentence without tokens is NaN."""
    for sentences in ([[4, 1, 5, 2], [1, 2]], [[4, 2], [1, 1], [5, 2]]):
        builder = MMapIndexedDatasetBuilder(str(tmp_path / "train.bin"), dtype=np.uint16)
        for sentence in sentences:
            builder.add_item(torch.tensor(sentence))
        builder.finalize(str(tmp_path / "train.idx"))
        if [1, 1] in sentences:
            with pytest.raises(UserError, match="only padding in its sentence 1"):
                load(str(tmp_path / "train"))
        else:
            assert [sentence.tolist() for sentence in load(str(tmp_path / "train"))] == sentences


@pytest.mark.parametrize(
    "offset,content,words",
    [
        (0, b"X", "is not an index of --dataset-impl mmap"),
        (9, struct.pack("<Q", 2), "is not an index of"),
        (17, b"\x00", "is not an index of"),
        (17, b"\x07", "is not an index of"),  # type 7 is float
        (18, struct.pack("<Q", 4), "declares 4 sentences, but has another length"),
        (18, struct.pack("<Q", 2**60), "but has another length"),
        (HEADER, struct.pack("<i", -1), "has sentence 0 in a wrong place"),
        (HEADER + 4, struct.pack("<i", 0), "has sentence 1 in a wrong place"),
        (HEADER + 8, struct.pack("<i", 6), "has sentence 2 in a wrong place"),
        (HEADER + 8, struct.pack("<i", 2**31 - 1), "has sentence 2 in a wrong place"),
        (HEADER + 12, struct.pack("<q", -8), "has sentence 0 in a wrong place"),
        (HEADER + 12, struct.pack("<q", 2**62), "has sentence 0 in a wrong place"),
    ],
)
def test_damaged_index(prefix, offset, content, words):
    overwrite(prefix + ".idx", offset, content)
    with pytest.raises(UserError) as error:
        load(prefix)
    assert words in str(error.value) and f"{prefix}.idx" in str(error.value)


@pytest.mark.parametrize("implementation", ["lazy", "cached"])
def test_data_of_another_implementation(prefix, implementation):
    with pytest.raises(UserError, match=f"{prefix}.idx is not an index of --dataset-impl {implementation}"):
        data_utils.load_indexed_dataset(prefix, make_dictionary(10), implementation)


def test_a_damaged_mark_is_found_without_an_implementation(prefix):
    overwrite(prefix + ".idx", 0, b"X")
    with pytest.raises(UserError, match=f"{prefix}.idx is not an index"):
        data_utils.load_indexed_dataset(prefix, make_dictionary(10))


@pytest.mark.parametrize("length", [0, 8, 9, 25, 26, 30, 61])
def test_index_that_is_cut_short(prefix, length):
    content = Path(prefix + ".idx").read_bytes()
    assert len(content) == 62
    Path(prefix + ".idx").write_bytes(content[:length])
    with pytest.raises(UserError, match=f"{prefix}.idx (is truncated|declares 3 sentences)"):
        load(prefix)


def test_sentences_that_are_cut_short_or_missing(prefix):
    content = Path(prefix + ".bin").read_bytes()
    Path(prefix + ".bin").write_bytes(content + b"\x00")
    with pytest.raises(UserError, match=f"{prefix}.bin is longer than its index declares"):
        load(prefix)
    Path(prefix + ".bin").write_bytes(content[:-1])
    with pytest.raises(UserError, match=f"has sentence 2 in a wrong place of {prefix}.bin"):
        load(prefix)
    Path(prefix + ".bin").write_bytes(b"")
    with pytest.raises(UserError, match=f"{prefix}.bin has no sentences"):
        load(prefix)


def test_words_that_the_dictionary_does_not_have(prefix):
    with pytest.raises(UserError, match=f"{prefix}.bin has the token id 9, but its dictionary has 9 tokens"):
        load(prefix, words=9)
    overwrite(prefix + ".bin", 1, b"\x80")
    with pytest.raises(UserError, match=f"{prefix}.bin has the token id 32772, but its dictionary has 10 tokens"):
        load(prefix)


def test_any_damage_of_the_index_is_detected(prefix):
    """In the sentences, a change to another valid id cannot be detected."""
    contents = {ending: Path(prefix + ending).read_bytes() for ending in (".idx", ".bin")}
    choose = random.Random(1)
    for _ in range(300):
        ending = choose.choice(list(contents))
        damaged = bytearray(contents[ending])
        damaged[choose.randrange(len(damaged))] ^= 1 << choose.randrange(8)
        for name, content in contents.items():
            Path(prefix + name).write_bytes(damaged if name == ending else content)
        try:
            sentences = [sentence.tolist() for sentence in load(prefix)]
            assert all(0 <= word < 10 for sentence in sentences for word in sentence)
        except UserError as error:
            assert prefix in str(error)
            continue
        assert ending == ".bin"


@pytest.mark.parametrize(
    "content,words",
    [
        (b"one 1\ntwo\n", "Incorrect dictionary format"),
        (b"one 1\ntwo x\n", "Incorrect dictionary format"),
        (b"one 1\n\n", "Incorrect dictionary format"),
        (b"one 1\none 2\n", "Duplicate word found when loading Dictionary: 'one'"),
        (b"one 1\n\xff 2\n", "Incorrect encoding detected"),
    ],
)
def test_damaged_dictionary(content, words, tmp_path):
    (tmp_path / "dict.en.txt").write_bytes(content)
    with pytest.raises(UserError) as error:
        Dictionary.load(str(tmp_path / "dict.en.txt"))
    assert str(error.value).startswith(
        f"{tmp_path}/dict.en.txt is not a dictionary of fairseq-preprocess, or is damaged ({words}"
    )


def test_a_dictionary_that_is_missing_keeps_its_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        Dictionary.load(str(tmp_path / "none"))
