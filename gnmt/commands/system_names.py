"""Names of the systems that a command compares."""

from pathlib import Path
from typing import List, Optional, Sequence

from gnmt.errors import UserError


def system_names(files: Sequence[Path], given: Optional[Sequence[str]]) -> List[str]:
    """Returns the given names; otherwise the file names, or the paths if file names are equal.

    Args:
        files: file of translations of each system.
        given: names on the command line, one per file; None if there are none.

    Raises:
        UserError: if a file is given twice, or names are not distinct, one per file.
    """
    if len(set(files)) < len(files):
        raise UserError("A file of translations is given twice: give the file of each system once.")
    if given is not None:
        if len(given) != len(files) or len(set(given)) < len(given):
            raise UserError(
                f"--names are {', '.join(given)}, but each of the {len(files)} systems needs a distinct name."
            )
        return list(given)
    short = [path.name for path in files]
    return short if len(set(short)) == len(short) else [str(path) for path in files]
