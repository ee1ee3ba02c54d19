"""Set-up of a process that runs one command: signals, closed pipes, output encoding, one-line errors.

A command ends without a traceback and by the signal itself, as Unix tools do. Its exit status in a shell is 130 after
Ctrl-C (SIGINT), 143 after SIGTERM, and 141 (SIGPIPE) if the reader of its output ends first, as in `command | head -1`.
Ctrl-C also ends a shell loop around the command. Partial output files are removed first.

The import has no side effects; a command calls `prepare_process` or `run_command` once.
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
from typing import Callable, List, NoReturn, Optional, Type

from gnmt.errors import UserError, one_line
from gnmt.files.outputs import DISK_IS_FULL, STANDARD_STREAMS, reader_is_gone

TRACEBACK_VARIABLE = "GNMT_TRACEBACK"  # 1 also shows the traceback of an explained error
CHILD_SECONDS = 5  # timeout for the end of a child process

_lost_messages: List[OSError] = []  # errors of log messages whose disk was full


class Terminated(KeyboardInterrupt):
    """Exception for SIGTERM in the main thread; all cleanup for KeyboardInterrupt also runs for it."""


def run_command(main: Callable[[], None]) -> None:
    """Prepares this process and runs a command; a UserError, or an error of the system, ends it with one line."""
    prepare_process()
    try:
        main()
    except (UserError, OSError) as error:
        if ending_signal(error) is not None:
            raise
        show_traceback(error)
        if isinstance(error, OSError):
            if output_is_full(error):
                _discard_output()
                sys.exit(f"error: {unwritten(error)}")
            place = f"{error.filename}: " if error.filename else ""
            sys.exit(one_line(f"error: {place}{error.strerror or error}"))
        sys.exit(one_line(f"error: {error.on_command_line}"))
    except MemoryError as error:
        show_traceback(error)
        sys.exit("error: Out of memory: use smaller batches, close other programs, or use a machine with more memory.")


@functools.cache
def prepare_process() -> None:
    """Prepares a process that runs only one command.

    Text is written in UTF-8; bytes of file names that are not UTF-8 are escaped. SIGTERM raises `Terminated`. Forked
    child processes ignore Ctrl-C, which this process handles.
    `sys.excepthook` ends the process by the signal for Ctrl-C, SIGTERM and a closed pipe.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            with contextlib.suppress(OSError):  # the stream cannot be reconfigured
                stream.reconfigure(encoding="utf-8", errors="backslashreplace")  # names of files may be any bytes
    if threading.current_thread() is threading.main_thread():
        for number, default in ((signal.SIGTERM, signal.SIG_DFL), (signal.SIGINT, signal.default_int_handler)):
            if signal.getsignal(number) is default:
                signal.signal(number, functools.partial(_raise_ending_signal, os.getpid()))
    logging.raiseExceptions = False  # no traceback for a log message that cannot be written
    os.register_at_fork(after_in_child=_leave_signals_to_parent)
    _let_logging_fail_with_its_pipe()
    _install_hook()
    atexit.register(_flush_at_exit)


def ending_signal(error: Optional[BaseException]) -> Optional[signal.Signals]:
    """Returns the signal of an exception, or of an exception during whose handling it was raised."""
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
    """Ends this process by a signal, after its child processes and its exit handlers."""
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
        except (AttributeError, OSError, ValueError):  # the stream is missing, closed, or has no reader
            pass
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)
    os._exit(128 + number)  # process 1 of a container is not ended by its own signals


def output_is_full(error: Optional[BaseException]) -> bool:
    """Returns True for the error of a standard stream, or other open file, whose disk is full."""
    return isinstance(error, OSError) and error.errno in DISK_IS_FULL and not error.filename


def unwritten(error: OSError) -> str:
    """Returns the message for an output whose disk is full."""
    return f"The output could not be written ({error.strerror}): make room on its disk."


def show_traceback(error: BaseException) -> None:
    """Prints the traceback of an explained error, if requested by the environment variable."""
    if os.environ.get(TRACEBACK_VARIABLE) == "1":
        traceback.print_exception(error)


def _raise_ending_signal(owner: int, number: int, frame: Optional[FrameType]) -> None:
    """Raises the exception of a signal in the process `owner`.

    A forked child that has not yet called `_leave_signals_to_parent` ignores Ctrl-C, and SIGTERM ends it. After the
    call it does the same.

    Args:
        owner: process id of the command.
        number: SIGINT or SIGTERM.
        frame: unused.
    """
    if os.getpid() == owner:
        raise Terminated if number == signal.SIGTERM else KeyboardInterrupt
    if number == signal.SIGTERM:
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)


def _leave_signals_to_parent() -> None:
    """Prepares a forked child: it ignores Ctrl-C, which the parent handles, and SIGTERM ends it at once."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _is_gone(descriptor: int) -> bool:
    try:
        return reader_is_gone(descriptor)
    except OSError:
        return False


def _let_logging_fail_with_its_pipe() -> None:
    """Makes logging raise the error of a closed pipe, instead of printing a traceback for every message."""
    report = logging.Handler.handleError

    def handle(handler: logging.Handler, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if error is not None and ending_signal(error) is not None:
            raise error
        if isinstance(error, OSError) and output_is_full(error):
            _lost_messages.append(error)
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
    """Restores the default action of Ctrl-C and SIGTERM, after all cleanup."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def _flush_at_exit() -> None:
    """Flushes stdout; the interpreter itself would report a closed pipe. Lost output makes the exit status 1."""
    _end_at_the_next_signal()
    lost = _lost_messages[0] if _lost_messages else None
    try:
        if sys.stdout is not None and not sys.stdout.closed:
            sys.stdout.flush()
    except BrokenPipeError:
        end_by(signal.SIGPIPE)
    except OSError as error:
        lost = error
    if lost is not None:
        _discard_output()
        print(f"error: {unwritten(lost)}", file=sys.stderr, flush=True)
        os._exit(1)


def _discard_output() -> None:
    """Prevents further attempts to write to stdout, including the attempt of the interpreter at exit."""
    sys.stdout = None
