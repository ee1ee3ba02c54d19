"""Output of fairseq-generate and fairseq-interactive: UTF-8, and complete files.

fairseq prints in the encoding of the locale. It opens the file of --results-path before the first result, so an
interrupted run replaces an earlier file by an incomplete one.
"""

import io
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, Optional, TextIO

from gnmt.files.outputs import atomic_outputs

# An unpaired surrogate cannot be written as UTF-8.
UTF8: Dict[str, Any] = {"encoding": "utf-8", "errors": "backslashreplace"}


@contextmanager
def results(folder: Optional[str], name: str) -> Iterator[TextIO]:
    """Opens stdout, or `folder`/generate-`name`.txt, which appears only if the block succeeds.

    Raises:
        UserError: if the folder cannot be written.
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
