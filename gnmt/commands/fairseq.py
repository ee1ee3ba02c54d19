"""fairseq's commands as processes, for the commands that train."""
import importlib.util
import shlex
import subprocess
import sys
from pathlib import Path
from typing import List, Mapping, Optional, Sequence

from gnmt.errors import UserError


def plugin_folder() -> Path:
    """Returns the folder of the plugin, for --user-dir.

    Raises:
        UserError: fairseq or the plugin is not installed.
    """
    for package in ("fairseq", "fairseq_gnmt"):
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise UserError(f"Training needs the package {package}: pip install 'fairseq-gnmt[fairseq]'.")
    return Path(spec.submodule_search_locations[0])


def command_of(name: str, arguments: Sequence[str]) -> List[str]:
    """Returns the command line that runs fairseq-NAME in this interpreter."""
    return [sys.executable, "-m", f"fairseq_cli.{name}", *arguments]


def shown(name: str, arguments: Sequence[str]) -> str:
    """Returns the command as a user would type it."""
    return shlex.join([f"fairseq-{name}", *arguments])


def run_fairseq(name: str, arguments: Sequence[str], environment: Optional[Mapping[str, str]] = None) -> None:
    """Runs fairseq-NAME and waits for it.

    Raises:
        SystemExit: it failed; its own messages say why, and its exit status is passed on.
    """
    process = subprocess.Popen(command_of(name, arguments), env=environment)
    try:
        status = process.wait()
    except BaseException:  # Ctrl-C reaches the process too; it ends by itself
        process.wait()
        raise
    if status:
        sys.exit(status if status > 0 else 128 - status)
