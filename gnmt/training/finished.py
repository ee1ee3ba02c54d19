"""Record of a finished training run in its --save-dir; it prevents the same command from training again."""

import json
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence

from gnmt.errors import UserError
from gnmt.files.outputs import atomic_outputs

NAME = "finished.json"


class Finished(NamedTuple):
    """Arguments of the training, and the name of the checkpoint to use; None until checkpoints are averaged."""

    arguments: List[str]
    model: Optional[str] = None


def read_finished(checkpoints: Path, arguments: Sequence[str]) -> Optional[Finished]:
    """Returns the record of a finished training run, or None if there is none.

    Args:
        checkpoints: --save-dir of the training.
        arguments: arguments of the current command.

    Raises:
        UserError: if the training had other arguments, or the record is damaged.
    """
    path = checkpoints / NAME
    if not path.exists():
        return None
    try:
        finished = Finished(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise UserError(f"{path} is damaged: delete it to continue the training.") from error
    before, given = _without_user_dir(finished.arguments), _without_user_dir(arguments)
    if before != given:
        raise UserError(
            f"{checkpoints} has a finished training run with other options ({_differences(before, given)}): "
            f"give another --save-dir, or delete {path} to continue it with the new options."
        )
    return finished


def _without_user_dir(arguments: Sequence[str]) -> List[str]:
    """Returns the arguments without --user-dir, whose folder changes when the plugin is installed again elsewhere."""
    pairs = zip(["", *arguments], arguments)
    return [argument for before, argument in pairs if "--user-dir" not in (before, argument)]


def _differences(before: Sequence[str], given: Sequence[str]) -> str:
    """Returns the options that differ, each with both values: "--lr 3e-3, now 1e-3; now --cpu".

    Args:
        before: arguments of the finished training run.
        given: arguments of the current command.
    """
    old, new = _by_option(before), _by_option(given)
    differences = []
    for name in dict.fromkeys([*old, *new]):
        if name not in new:
            differences.append(f"{name} {old[name]}".strip() + ", now without it")
        elif name not in old:
            differences.append(f"now {name} {new[name]}".strip())
        elif old[name] != new[name]:
            differences.append(f"{name} {old[name]}, now {new[name]}".strip())
    return "; ".join(differences) or "in another order"


def _by_option(arguments: Sequence[str]) -> Dict[str, str]:
    """Returns the values of each option as one string; arguments before the first option have the empty name."""
    options: Dict[str, str] = {}
    name = ""
    for argument in arguments:
        if argument.startswith("--"):
            name = argument
            options[name] = ""
        else:
            options[name] = f"{options.get(name, '')} {argument}".strip()
    return options


def write_finished(checkpoints: Path, finished: Finished) -> None:
    """Writes the record of a finished training run.

    Args:
        checkpoints: --save-dir of the training.
        finished: record to write.
    """
    with atomic_outputs([checkpoints / NAME], inputs=[], overwrite=True) as (file,):
        file.write(f"{json.dumps(finished._asdict(), ensure_ascii=False)}\n".encode("utf-8"))
