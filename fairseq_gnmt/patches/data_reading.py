"""Checks of binarised data, with errors that name the damaged file.

fairseq maps the index and the sentences into memory without checking their lengths. A damaged file causes an error of
numpy during an epoch, or words that are not in the dictionary.
"""

import functools
import struct
from pathlib import Path
from typing import Any

import numpy as np
from fairseq.data import ConcatDataset, Dictionary, data_utils, indexed_dataset
from fairseq.data.indexed_dataset import (
    IndexedDataset,
    MMapIndexedDataset,
    _code_to_dtype,
    data_file_path,
    index_file_path,
)

from gnmt.errors import UserError

HEADER = struct.Struct("<9sQBQ")  # magic number, version, type of the token ids, number of sentences
VERSION = 1
# Bytes of the index per sentence: a size and a pointer.
ITEM = np.dtype(np.int32).itemsize + np.dtype(np.int64).itemsize
RUN_AGAIN = "Run fairseq-preprocess again."
AGAIN = "it is damaged, or another --dataset-impl has written it: run fairseq-preprocess again."


def check_data_when_read() -> None:
    """Makes fairseq check dictionaries and memory-mapped data when it loads them."""
    indexed_dataset.make_dataset = with_index_check(indexed_dataset.make_dataset)
    Dictionary.add_from_file = explain_dictionary(Dictionary.add_from_file)
    data_utils.load_indexed_dataset = with_word_check(data_utils.load_indexed_dataset)


def with_index_check(make):
    """Returns fairseq's make_dataset with a check of the index of binarised data."""

    @functools.wraps(make)
    def checked(path: str, impl: str, *args, **kwargs):
        index = Path(index_file_path(path))
        if impl == "mmap" and MMapIndexedDataset.exists(path):
            check_index(path)
        elif impl in ("lazy", "cached") and index.exists():
            mark = IndexedDataset._HDR_MAGIC
            if index.read_bytes()[: len(mark)] != mark:
                raise UserError(f"{index} is not an index of --dataset-impl {impl}: {AGAIN}")
        return make(path, impl, *args, **kwargs)

    return checked


def check_index(prefix: str) -> None:
    """Checks that the index prefix.idx is complete, and that its sentences fill prefix.bin without gaps.

    Raises:
        UserError: if they do not.
    """
    index, data = Path(index_file_path(prefix)), Path(data_file_path(prefix))
    content = index.read_bytes()
    if len(content) < HEADER.size:
        raise UserError(f"{index} is truncated: {AGAIN}")
    mark, version, code, sentences = HEADER.unpack_from(content)
    kind = np.dtype(_code_to_dtype.get(code, np.float64))
    if mark != MMapIndexedDataset.Index._HDR_MAGIC or version != VERSION or kind.kind not in "iu":
        raise UserError(f"{index} is not an index of --dataset-impl mmap: {AGAIN}")
    if len(content) != HEADER.size + sentences * ITEM:
        raise UserError(f"{index} declares {sentences} sentences, but has another length: {AGAIN}")
    if sentences == 0 or data.stat().st_size == 0:
        raise UserError(f"{data} has no sentences: give fairseq-preprocess some text.")
    sizes = np.frombuffer(content, np.int32, sentences, HEADER.size).astype(np.int64)
    pointers = np.frombuffer(content, np.int64, sentences, HEADER.size + sizes.size * 4)
    ends = sizes.cumsum() * kind.itemsize
    misplaced = (sizes < 1) | (pointers != ends - sizes * kind.itemsize) | (ends > data.stat().st_size)
    if misplaced.any():
        raise UserError(
            f"{index} has sentence {int(misplaced.argmax())} in a wrong place of {data}: one of them is damaged. {RUN_AGAIN}"
        )
    if ends[-1] != data.stat().st_size:
        raise UserError(f"{data} is longer than its index declares: one of them is damaged. {RUN_AGAIN}")


def with_word_check(load):
    """Returns fairseq's load_indexed_dataset with a check of the token ids, which takes one pass over the data."""

    @functools.wraps(load)
    def checked(path: str, dictionary: Any = None, *args, **kwargs):
        dataset = load(path, dictionary, *args, **kwargs)
        for part in dataset.datasets if isinstance(dataset, ConcatDataset) else [dataset]:
            if isinstance(part, MMapIndexedDataset) and dictionary is not None:
                check_words(part, len(dictionary), dictionary.pad())
        return dataset

    return checked


def check_words(dataset: MMapIndexedDataset, words: int, pad: int) -> None:
    """Checks the token ids of a data set.

    Args:
        dataset: memory-mapped data set.
        words: size of the dictionary.
        pad: id of PAD.

    Raises:
        UserError: for a token id outside the dictionary, and for sentences that contain only PAD.
    """
    numbers = np.frombuffer(dataset._bin_buffer, dtype=dataset._index.dtype)
    if numbers.max() >= words or numbers.min() < 0:
        number = int(numbers.max()) if numbers.max() >= words else int(numbers.min())
        raise UserError(
            f"{data_file_path(dataset._path)} has the token id {number}, but its dictionary has {words} tokens: one "
            f"of them is damaged, or they do not belong together. {RUN_AGAIN}"
        )
    is_pad = numbers == pad
    if is_pad.any():
        sizes = dataset._index._sizes
        empty = np.logical_and.reduceat(is_pad, np.cumsum(sizes) - sizes)
        if empty.any():
            raise UserError(
                f"{data_file_path(dataset._path)} has only padding in its sentence {int(empty.argmax())}: it is "
                f"damaged. {RUN_AGAIN}"
            )


def explain_dictionary(add_from_file):
    """Returns fairseq's Dictionary.add_from_file with errors that name the file."""

    @functools.wraps(add_from_file)
    def explained(self: Dictionary, f: Any) -> None:
        try:
            add_from_file(self, f)
        except (OSError, UserError):
            raise
        except Exception as error:  # fairseq raises three types
            reason = str(error).splitlines()[0].split(". ")[0][:100]
            if not isinstance(f, str):
                raise
            raise UserError(f"{f} is not a dictionary of fairseq-preprocess, or is damaged ({reason}).") from error

    return explained
