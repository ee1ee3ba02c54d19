"""Tests errors of the tokenizer commands in the plugin: one sentence without a traceback.

Expected messages are written by hand.
"""

import subprocess
import sys
from pathlib import Path

from commands import ROOT

from gnmt.commands import subwords
from gnmt.commands.command_line import run_module


def write(path: Path, lines) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def error_message(module: str, *arguments) -> str:
    """Runs a command that must fail; returns its message."""
    command = [sys.executable, "-m", f"fairseq_gnmt.data.{module}", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    return done.stderr


def test_pieces_are_not_overwritten(tmp_path):
    text = write(tmp_path / "text", [f"the cat sees {number} dogs ." for number in range(20)])
    pieces = write(tmp_path / "pieces", ["precious"])
    training = ["train", "--input", text, "--model-prefix", tmp_path / "joint", "--vocab-size", 30]
    run_module(subwords, "gnmt subwords", list(map(str, training)))
    message = error_message(
        "subwords", "encode", "--model", tmp_path / "joint.model", "--input", text, "--output", pieces
    )
    assert message.splitlines()[-1].startswith(f"error: {pieces} exists")
    assert pieces.read_text() == "precious\n"


def test_a_missing_model_of_mixed_words_and_characters(tmp_path):
    text, model = write(tmp_path / "text", ["the cat"]), tmp_path / "m.json"
    message = error_message(
        "mixed_word_char", "encode", "--model", model, "--input", text, "--output", tmp_path / "out"
    )
    assert message.splitlines()[-1] == f"error: {model} does not exist: check the path."
    assert "RuntimeWarning" not in message  # about a module that is loaded twice
