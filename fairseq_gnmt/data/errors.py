"""How the commands of this package report mistakes: one sentence, no traceback."""
import signal
import sys
from typing import Callable


class DataError(ValueError):
    """A mistake in the user's files or options; the message says what to do about it."""


def run_command(main: Callable[[], None]) -> None:
    """Run a command line; a mistake of the user ends it with its sentence and exit status 1."""
    try:
        main()
    except DataError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        sys.exit(f"error: {place}{error.strerror or error}")
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
