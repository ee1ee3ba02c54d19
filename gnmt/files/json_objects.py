"""JSON whose texts can be written to files, and files that contain one object."""

import json
from pathlib import Path
from typing import Any, Dict, Union

from gnmt.errors import UserError


def parse(text: Union[str, bytes]) -> Any:
    """Returns the value of a JSON text.

    Raises:
        ValueError: if it is not JSON, or has a lone surrogate, which no file can hold.
        RecursionError: if it is too deep.
    """
    content = json.loads(text)
    json.dumps(content, ensure_ascii=False).encode("utf-8")
    return content


def read_object(path: Path) -> Dict[str, Any]:
    """Returns the JSON object of a file.

    Raises:
        UserError: if the file is missing or does not contain an object.
    """
    try:
        content = parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): the model folder is incomplete.") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON ({error}): copy the model folder again.") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} does not contain a JSON object: copy the model folder again.")
    return content
