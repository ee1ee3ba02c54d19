"""fairseq's commands as child processes, for training and preparation."""

import ctypes
import importlib.util
import shlex
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO, Callable, List, Mapping, Optional, Sequence

from gnmt.commands.process import CHILD_SECONDS, ending_signal
from gnmt.errors import UserError
from gnmt.extras import remedy

PR_SET_PDEATHSIG = 1  # of prctl(2)


def plugin_folder() -> Path:
    """Returns the folder of the plugin, for --user-dir.

    Raises:
        UserError: if fairseq or the plugin is not installed.
    """
    for package in ("fairseq", "fairseq_gnmt"):
        spec = importlib.util.find_spec(package)
        folders = list(spec.submodule_search_locations or []) if spec is not None else []
        if not folders:
            raise UserError(f"This command needs the package {package}: {remedy('fairseq')}.")
    return Path(folders[0])


def command_of(name: str, arguments: Sequence[str]) -> List[str]:
    """Returns the command line that runs fairseq-NAME in this interpreter.

    Args:
        name: name of the command without "fairseq-".
        arguments: arguments of the command.
    """
    return [sys.executable, "-m", f"fairseq_cli.{name}", *arguments]


def shown(name: str, arguments: Sequence[str]) -> str:
    """Returns the command line in shell syntax.

    Args:
        name: name of the command without "fairseq-".
        arguments: arguments of the command.
    """
    return shlex.join([f"fairseq-{name}", *arguments])


def run_fairseq(
    name: str,
    arguments: Sequence[str],
    environment: Optional[Mapping[str, str]] = None,
    log: Optional[Path] = None,
    shorten: Callable[[str], Optional[str]] = lambda line: line,
    stderr: Optional[IO[bytes]] = None,
) -> None:
    """Runs fairseq-NAME and waits for it. An exception during the wait, such as Ctrl-C, first ends the command.

    Args:
        name: name of the command.
        arguments: arguments of the command.
        environment: environment variables; None means the variables of this process.
        log: file to which its output is appended.
        shorten: with `log`, returns the text to print for a line of the output, or None to print nothing.
        stderr: file for its standard error; None means the standard error of this process.

    Raises:
        SystemExit: if the command fails; its own messages give the reason, and its exit status is returned.
    """
    process = subprocess.Popen(
        command_of(name, arguments),
        env=environment,
        stdout=subprocess.PIPE if log else None,
        stderr=stderr,
        preexec_fn=_end_with_parent if sys.platform == "linux" else None,
    )
    try:
        if log is not None and process.stdout is not None:
            _show_and_append(process.stdout, log, shorten)
        status = process.wait()
    except BaseException as error:
        _end(process, is_signalled=ending_signal(error) is signal.SIGINT)
        raise
    if status:
        sys.exit(status if status > 0 else 128 - status)


def run_fairseq_quietly(name: str, arguments: Sequence[str], messages: Path) -> None:
    """Runs fairseq-NAME and prints its messages only if it fails.

    Args:
        name: name of the command.
        arguments: arguments of the command.
        messages: file for the messages; deleted after a success.

    Raises:
        SystemExit: if the command fails.
    """
    try:
        with messages.open("wb") as file:
            run_fairseq(name, arguments, stderr=file)
    except SystemExit:
        sys.stderr.write(messages.read_text(encoding="utf-8", errors="replace"))
        raise
    messages.unlink()


def _end_with_parent() -> None:
    """Makes the kernel send SIGTERM to this child process if its parent is killed."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _show_and_append(stream: IO[bytes], log: Path, shorten: Callable[[str], Optional[str]]) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab", buffering=0) as file:
        for line in stream:
            file.write(line)
            text = shorten(line.decode("utf-8", errors="replace").rstrip("\n"))
            if text is not None:
                print(text, flush=True)


def _end(process: subprocess.Popen, is_signalled: bool) -> None:
    """Ends a process.

    Args:
        process: running process.
        is_signalled: True if the process has received Ctrl-C from the terminal; it gets CHILD_SECONDS to clean up.
    """
    if is_signalled:
        with suppress(subprocess.TimeoutExpired):
            process.wait(CHILD_SECONDS)
    process.terminate()
    process.wait()
