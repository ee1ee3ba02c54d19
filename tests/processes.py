"""Helpers for child processes: state, descendants, waiting."""

import time
from pathlib import Path
from typing import Any, Callable, List

SECONDS = 240  # longer runs count as hanging, also on a busy machine; below the time limit of every test (conftest.py)


def is_running(pid: int) -> bool:
    """Returns True if a process exists and is not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:  # the file does not exist, or disappeared during reading
        return False


def descendants(pid: int) -> List[int]:
    """Returns all descendants of a process, except those that end during the call."""
    try:
        children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return [descendant for child in children for descendant in (child, *descendants(child))]


def command_line(pid: int) -> bytes:
    """Returns the command line of a process, empty if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def wait_until(condition: Callable[[], bool], show: Callable[[], Any] = lambda: "it hangs") -> None:
    """Waits until the condition holds; `show` returns the message for a timeout."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, show()
        time.sleep(0.01)
