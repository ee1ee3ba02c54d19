r"""Line splitting of `gnmt.files.lines` in fairseq.

fairseq opens raw data sets, dictionaries, alignment dictionaries and the text for fairseq-preprocess in Python's text
mode. In this mode "\r" inside a sentence ends a line, so that every later pair is misaligned. A byte order mark becomes
part of the first word. Alignment dictionaries are decoded with the encoding of the locale.
"""

import builtins
from typing import IO, Any

from fairseq import file_chunker_utils, utils
from fairseq.data import dictionary, indexed_dataset
from fairseq.data.indexed_dataset import IndexedRawTextDataset

from gnmt.files.lines import one_line

READERS = (file_chunker_utils, utils, dictionary, indexed_dataset)


def open_lines(file: Any, mode: str = "r", *arguments: Any, **options: Any) -> IO:
    r"""Opens a file like the builtin `open`; text is read as UTF-8 without byte order mark, in lines that end at "\n".

    Args:
        file: path or descriptor.
        mode: mode of `open`.
        arguments: further positional arguments of `open`.
        options: further keyword arguments of `open`.
    """
    if mode == "r":
        return builtins.open(file, encoding="utf-8-sig", newline="\n")
    return builtins.open(file, mode, *arguments, **options)


def read_lines_as_the_core() -> None:
    """Replaces `open` in fairseq's modules that read text, and prints each line of a raw data set as one line."""
    for module in READERS:
        module.open = open_lines

    original_text = IndexedRawTextDataset.get_original_text

    def get_original_text(self, i: int) -> str:
        return one_line(original_text(self, i).removesuffix("\r"))

    IndexedRawTextDataset.get_original_text = get_original_text
