"""Tests progress bars with a simulated clock: hidden for short steps, few lines in a log.

Expected lines are written by hand.
"""

import pytest
import tqdm.std

from gnmt.files.progress import progress_bar


@pytest.fixture
def clock(monkeypatch) -> list:
    """Fixture: the time in seconds that progress bars read."""
    now = [1000.0]
    monkeypatch.setattr(tqdm.std, "time", lambda: now[0])
    return now


def shown(capsys) -> list:
    """Returns the counts that were shown."""
    states = capsys.readouterr().err.replace("\n", "\r").split("\r")
    return [int(state.split("/")[0].rpartition(" ")[2].partition(".")[0]) for state in states if "/" in state]


def count(clock: list, steps: int, seconds: float) -> None:
    with progress_bar(total=steps, name="counting", unit="lines") as progress:
        for _ in range(steps):
            clock[0] += seconds
            progress.update()


def test_a_step_under_a_second_shows_nothing(clock, capsys, monkeypatch):
    count(clock, 9, 0.1)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    count(clock, 9, 0.1)
    assert shown(capsys) == []


def test_a_log_has_a_line_every_10_seconds_and_the_last(clock, capsys):
    count(clock, 25, 1.0)
    assert shown(capsys) == [10, 20, 25]


def test_a_terminal_is_refreshed_after_a_second(clock, capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    count(clock, 4, 0.6)
    assert shown(capsys) == [2, 3, 4, 4]  # the last count is shown at the end


def test_a_hidden_bar_counts_nothing(clock, capsys):
    assert list(progress_bar(iter("abc"), total=3, unit="letters", is_shown=False)) == ["a", "b", "c"]
    assert capsys.readouterr().err == ""
