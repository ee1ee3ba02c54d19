"""A command as a process of its own."""
import signal
import sys
from typing import Callable

from gnmt.errors import UserError


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
