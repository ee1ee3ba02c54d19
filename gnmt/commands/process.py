"""Set-up of a process that runs one command: signals, closed pipes, the encoding of its output, errors in one line.

A command ends without a traceback, and as Unix tools end: by the signal itself. A shell then shows 130 after Ctrl-C
(SIGINT), 143 after SIGTERM and 141 (SIGPIPE) when the reader of its output has ended, as in `command | head -1`, and
Ctrl-C also ends a loop of the shell around the command. Files that are being written are removed first.

Importing this module changes nothing; a command calls `prepare_process` or `run_command` once.
"""

import atexit
import contextlib
import functools
import io
import logging
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from types import FrameType, TracebackType
from typing import Callable, NoReturn, Optional, Type

from gnmt.errors import UserError, one_line
from gnmt.files.outputs import STANDARD_STREAMS, reader_is_gone

TRACEBACK_VARIABLE = "GNMT_TRACEBACK"  # set to 1, the traceback of an explained error is shown too
CHILD_SECONDS = 5  # that a child process has for its end


class Terminated(KeyboardInterrupt):
    """Raised in the main thread by SIGTERM, so that everything which cleans up after Ctrl-C does so here too."""


def run_command(main: Callable[[], None]) -> None:
    """Prepares this process and runs a command; an error that a user can correct ends it with one line and exit code 1."""
    prepare_process()
    try:
        main()
    except (UserError, OSError) as error:
        if ending_signal(error) is not None:
            raise
        show_traceback(error)
        if isinstance(error, OSError):
            place = f"{error.filename}: " if error.filename else ""
            sys.exit(one_line(f"error: {place}{error.strerror or error}"))
        sys.exit(one_line(f"error: {error}"))


@functools.cache
def prepare_process() -> None:
    """Makes this process end as a command should. Only for a process that runs nothing but one command.

    Text is written in UTF-8. SIGTERM raises `Terminated`. Child processes that are forked leave Ctrl-C to this
    process. `sys.excepthook` ends the process by the signal for Ctrl-C, SIGTERM and a closed pipe.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            with contextlib.suppress(OSError):  # a stream that refuses what it holds already
                stream.reconfigure(encoding="utf-8")
    if threading.current_thread() is threading.main_thread():
        for number, default in ((signal.SIGTERM, signal.SIG_DFL), (signal.SIGINT, signal.default_int_handler)):
            if signal.getsignal(number) is default:
                signal.signal(number, functools.partial(_raise_ending_signal, os.getpid()))
    logging.raiseExceptions = False  # a log that cannot be written shows no traceback
    os.register_at_fork(after_in_child=_leave_signals_to_parent)
    _let_logging_fail_with_its_pipe()
    _install_hook()
    atexit.register(_flush_at_exit)


def ending_signal(error: Optional[BaseException]) -> Optional[signal.Signals]:
    """The signal that an exception stands for, itself or one during whose handling it was raised."""
    while error is not None:
        if isinstance(error, Terminated):
            return signal.SIGTERM
        if isinstance(error, KeyboardInterrupt):
            return signal.SIGINT
        if isinstance(error, BrokenPipeError) and any(map(_is_gone, STANDARD_STREAMS)):
            return signal.SIGPIPE
        error = error.__cause__ or error.__context__
    return None


def end_by(number: signal.Signals) -> NoReturn:
    """Ends this process by a signal, after its child processes and after everything that is due at its exit."""
    children = multiprocessing.active_children()
    for child in children:
        child.terminate()
    for child in children:
        child.join(CHILD_SECONDS)
        child.kill()
    atexit.unregister(_flush_at_exit)
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):  # there is none, its reader is gone, or it is closed
            pass
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)
    os._exit(128 + number)  # the first process of a container outlives its own signals


def show_traceback(error: BaseException) -> None:
    """Prints the traceback of an error that is going to be explained in one line, if the environment asks for it."""
    if os.environ.get(TRACEBACK_VARIABLE) == "1":
        traceback.print_exception(error)


def _raise_ending_signal(owner: int, number: int, frame: Optional[FrameType]) -> None:
    """Raises the exception of a signal in the process `owner`.

    A forked child that has not yet come to `_leave_signals_to_parent` behaves as after it.
    """
    if os.getpid() == owner:
        raise Terminated if number == signal.SIGTERM else KeyboardInterrupt
    if number == signal.SIGTERM:
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)


def _leave_signals_to_parent() -> None:
    """In a forked child: the parent answers Ctrl-C and ends its children, which SIGTERM ends at once."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _is_gone(descriptor: int) -> bool:
    try:
        return reader_is_gone(descriptor)
    except OSError:
        return False


def _let_logging_fail_with_its_pipe() -> None:
    """Raises the error of a closed pipe, which logging would report with a traceback at every message."""
    report = logging.Handler.handleError

    def handle(handler: logging.Handler, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if error is not None and ending_signal(error) is not None:
            raise error
        report(handler, record)

    logging.Handler.handleError = handle  # type: ignore[method-assign,assignment]


def _install_hook() -> None:
    previous = sys.excepthook

    def hook(kind: Type[BaseException], error: BaseException, trace: Optional[TracebackType]) -> None:
        _end_at_the_next_signal()
        number = ending_signal(error)
        if number is not None:
            end_by(number)
        previous(kind, error, trace)

    sys.excepthook = hook


def _end_at_the_next_signal() -> None:
    """Ctrl-C and SIGTERM end this process at once: everything has been cleaned up."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def _flush_at_exit() -> None:
    """Writes what stdout still holds; the interpreter itself would complain about a closed pipe."""
    _end_at_the_next_signal()
    try:
        if sys.stdout is not None and not sys.stdout.closed:
            sys.stdout.flush()
    except BrokenPipeError:
        end_by(signal.SIGPIPE)
    except OSError as error:
        sys.stdout = None  # the interpreter would try again
        print(f"error: standard output could not be written: {error.strerror}", file=sys.stderr, flush=True)
        os._exit(1)
