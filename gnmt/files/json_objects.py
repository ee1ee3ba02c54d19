"""JSON files that contain one object."""

import json
from pathlib import Path
from typing import Any, Dict

from gnmt.errors import UserError


def read_object(path: Path) -> Dict[str, Any]:
    """Returns the JSON object of a file.

    Raises:
        UserError: if the file is missing or does not contain an object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        json.dumps(content, ensure_ascii=False).encode("utf-8")  # refuses lone surrogates, which no file can hold
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): the model folder is incomplete.") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON ({error}): copy the model folder again.") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} holds no JSON object: copy the model folder again.")
    return content
