r"""Makes fairseq read lines of text as `gnmt.files.lines` does.

fairseq opens raw data sets, dictionaries, alignment dictionaries and the text for fairseq-preprocess in Python's text
mode. There a "\r" inside a sentence ends a line, so that every later pair is shifted; a byte order mark becomes a part
of the first word; and alignment dictionaries are read in the encoding of the locale.
"""

import builtins
from typing import IO, Any

from fairseq import file_chunker_utils, utils
from fairseq.data import dictionary, indexed_dataset
from fairseq.data.indexed_dataset import IndexedRawTextDataset

from gnmt.files.lines import one_line

READERS = (file_chunker_utils, utils, dictionary, indexed_dataset)


def open_lines(file: Any, mode: str = "r", *arguments: Any, **options: Any) -> IO:
    r"""Opens a file as the builtin; text to read is UTF-8 without byte order mark, in lines that end at "\n"."""
    if mode == "r":
        return builtins.open(file, encoding="utf-8-sig", newline="\n")
    return builtins.open(file, mode, *arguments, **options)


def read_lines_as_the_core() -> None:
    """Replaces `open` in the modules of fairseq that read text; a line of a raw data set is printed as one line."""
    for module in READERS:
        module.open = open_lines

    original_text = IndexedRawTextDataset.get_original_text

    def get_original_text(self, i: int) -> str:
        return one_line(original_text(self, i).removesuffix("\r"))

    IndexedRawTextDataset.get_original_text = get_original_text
