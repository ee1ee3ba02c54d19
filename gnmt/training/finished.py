"""Record of a finished training run in its --save-dir; it prevents the same command from training again."""

import json
from pathlib import Path
from typing import List, NamedTuple, Optional, Sequence

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
        had = " ".join(argument for argument in before if argument not in given)
        now = " ".join(argument for argument in given if argument not in before)
        raise UserError(
            f"{checkpoints} has a finished training run with other options ('{had}', now '{now}'): "
            f"give another --save-dir, or delete {path} to continue it with the new options."
        )
    return finished


def _without_user_dir(arguments: Sequence[str]) -> List[str]:
    """Returns the arguments without --user-dir, whose folder changes when the plugin is installed again elsewhere."""
    pairs = zip(["", *arguments], arguments)
    return [argument for before, argument in pairs if "--user-dir" not in (before, argument)]


def write_finished(checkpoints: Path, finished: Finished) -> None:
    """Writes the record of a finished training run.

    Args:
        checkpoints: --save-dir of the training.
        finished: record to write.
    """
    with atomic_outputs([checkpoints / NAME], inputs=[], overwrite=True) as (file,):
        file.write(f"{json.dumps(finished._asdict(), ensure_ascii=False)}\n".encode("utf-8"))
