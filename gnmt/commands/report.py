"""Results of measurements as a Markdown table and as a JSON file."""

import json
import os
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

from gnmt.errors import UserError
from gnmt.files.outputs import atomic_outputs

ABSENT = "-"


def markdown_table(rows: Sequence[Dict[str, str]]) -> str:
    """Returns a table with one column per key, in the order of their first appearance, without empty columns."""
    columns: List[str] = []
    for row in rows:
        columns += [key for key, cell in row.items() if key not in columns and cell != ABSENT]
    lines = [columns, ["---"] * len(columns)]
    lines += [[row.get(column, ABSENT) for column in columns] for row in rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def check_output(path: Optional[Path], overwrite: bool) -> None:
    """Checks the path of --json; call it before the measurements.

    Args:
        path: path of the JSON file; None if the option is not given.
        overwrite: allows the file to exist.

    Raises:
        UserError: if the file cannot be written.
    """
    if path is None:
        return
    if path.is_dir():
        raise UserError(f"{path} is a folder: give --json the name of a file.")
    if path.exists() and not overwrite:
        raise UserError(f"{path} exists: give another --json, or --overwrite.")
    folder = path.absolute().parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise UserError(f"{folder} is not a folder with write permission: create it, or pass another --json.")


def write_json(path: Path, content: Dict[str, Any]) -> None:
    """Writes a JSON file atomically; an existing file is replaced.

    Args:
        path: file to write.
        content: JSON object; values of other types are written as text.
    """
    with atomic_outputs([path], inputs=[], overwrite=True) as (file,):
        file.write((json.dumps(content, indent=1, default=str) + "\n").encode("utf-8"))
