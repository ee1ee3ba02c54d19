"""Mistakes that a user can mend are told in a sentence, without a traceback."""
import pickle
import signal
import sys
import traceback
from types import TracebackType
from typing import Callable, Optional, Type


class UserError(ValueError):
    """What came, what was wanted and what to do, in a sentence or two."""


def explain(error: BaseException, trace: Optional[TracebackType]) -> Optional[str]:
    """A sentence for an error that a user can mend, None for one that only a developer can."""
    if isinstance(error, UserError):
        return str(error)
    frames = {frame.f_code.co_name: frame.f_locals for frame, _ in traceback.walk_tb(trace)}
    loading = frames.get("load_checkpoint_to_cpu")
    if loading is not None and isinstance(error, (RuntimeError, EOFError, pickle.UnpicklingError)):
        return (
            f"{loading.get('path')} is not a whole checkpoint ({str(error).splitlines()[0][:120]}). It may have been "
            "cut short while it was written or copied: use another one of its folder, for training with --restore-file."
        )
    if "load_checkpoint" in frames and "Cannot load model parameters" in str(error):
        return f"{error} Its architecture and sizes must be those of --arch: start in a new --save-dir."
    return None


def install_hook() -> None:
    """Replaces the traceback of explained errors, and of no others, by their sentence."""
    previous = sys.excepthook

    def hook(kind: Type[BaseException], error: BaseException, trace: Optional[TracebackType]) -> None:
        sentence = explain(error, trace)
        if sentence is None:
            previous(kind, error, trace)
        else:
            print(f"error: {sentence}", file=sys.stderr)

    sys.excepthook = hook


def run_command(main: Callable[[], None]) -> None:
    """Runs a command line of ours; a mistake of the user ends it with its sentence and exit status 1."""
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        sys.exit(f"error: {place}{error.strerror or error}")
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
