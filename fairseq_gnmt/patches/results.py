"""The output of fairseq-generate and fairseq-interactive: UTF-8, and complete files.

fairseq prints in the encoding of the locale, and opens the file of --results-path before the first result, so that an
interrupted run leaves half of it in the place of an earlier one.
"""

import io
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, Optional, TextIO

from gnmt.files.outputs import atomic_outputs

UTF8: Dict[str, Any] = {
    "encoding": "utf-8",
    "errors": "backslashreplace",
}  # a lone surrogate cannot be written as UTF-8


@contextmanager
def results(folder: Optional[str], name: str) -> Iterator[TextIO]:
    """Opens the standard output, or `folder`/generate-`name`.txt, which appears only if the block succeeds.

    Raises UserError if the folder cannot be written; an earlier file is replaced.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(**UTF8)
    if folder is None:
        yield sys.stdout
        return
    os.makedirs(folder, exist_ok=True)
    with atomic_outputs([Path(folder, f"generate-{name}.txt")], inputs=[], overwrite=True) as (file,):
        text = io.TextIOWrapper(file, newline="\n", **UTF8)
        yield text
        text.flush()
