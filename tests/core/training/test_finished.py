"""Tests the record of a finished training run: the same command is not run again, and other options are refused.

Expected messages are written by hand.
"""

import pytest

from gnmt.errors import UserError
from gnmt.training.finished import NAME, Finished, read_finished, write_finished

ARGUMENTS = ["DIR/bin", "--user-dir", "/old/fairseq_gnmt", "--lr", "3e-3"]


def test_no_record_is_an_unfinished_training(tmp_path):
    assert read_finished(tmp_path, ARGUMENTS) is None


def test_a_plugin_installed_elsewhere_is_the_same_training(tmp_path):
    write_finished(tmp_path, Finished(ARGUMENTS, "averaged.pt"))
    moved = ["DIR/bin", "--user-dir", "/new/fairseq_gnmt", "--lr", "3e-3"]
    assert read_finished(tmp_path, moved) == Finished(ARGUMENTS, "averaged.pt")


def test_other_options_are_refused_by_their_values(tmp_path):
    write_finished(tmp_path, Finished(ARGUMENTS))
    other = ["DIR/bin", "--user-dir", "/new/fairseq_gnmt", "--lr", "1e-3", "--cpu"]
    with pytest.raises(UserError, match=r"with other options \(--lr 3e-3, now 1e-3; now --cpu\)"):
        read_finished(tmp_path, other)


def test_an_option_that_is_left_out_is_named(tmp_path):
    write_finished(tmp_path, Finished([*ARGUMENTS, "--eval-bleu", "--batch-size", "64"]))
    other = ["DIR/text", "--user-dir", "/new/fairseq_gnmt", "--lr", "3e-3", "--batch-size", "16"]
    expected = r"\(DIR/bin, now DIR/text; --eval-bleu, now without it; --batch-size 64, now 16\)"
    with pytest.raises(UserError, match=expected):
        read_finished(tmp_path, other)


def test_a_damaged_record_is_refused(tmp_path):
    (tmp_path / NAME).write_text("{")
    with pytest.raises(UserError, match="is damaged: delete it"):
        read_finished(tmp_path, ARGUMENTS)
