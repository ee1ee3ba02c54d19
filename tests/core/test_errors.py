"""Tests error messages: they name parameters in Python and options on the command line.

Expected messages are written by hand.
"""

import pickle

import pytest

from gnmt.commands.process import run_command
from gnmt.errors import OptionError, UserError, one_line
from gnmt.ranges import Range

MESSAGE = "--nbest is 3, but must be at most --max-len-b, which is -2."


def test_a_message_names_options_for_its_readers():
    error = OptionError(MESSAGE)
    assert str(error) == "nbest is 3, but must be at most max_len_b, which is -2."
    assert error.on_command_line == MESSAGE
    assert UserError("Give --overwrite.").on_command_line == str(UserError("Give --overwrite."))


def test_an_error_passes_between_processes():
    again = pickle.loads(pickle.dumps(OptionError(MESSAGE)))
    assert (str(again), again.on_command_line) == (str(OptionError(MESSAGE)), MESSAGE)


def test_a_command_names_its_option(monkeypatch):
    monkeypatch.setattr("gnmt.commands.process.prepare_process", lambda: None)
    with pytest.raises(SystemExit) as ended:
        run_command(lambda: Range(1).check("batch_size", 0, OptionError))
    assert ended.value.code == "error: --batch-size is 0, but must be at least 1."


def test_a_message_is_one_line():
    assert one_line("a\nb\x1b") == "a b"
