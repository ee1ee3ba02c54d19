"""Tests `gnmt translate` between pipes: buffering, signals and a full output.

Expected translations come from `Translator`.
"""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from model_folders import make_model_folder
from processes import SECONDS

from gnmt.translator import Translator

ROOT = Path(__file__).resolve().parents[2]
LINES = ["The dog sees the cat.", "", "A cat runs, and the dog sees.", "The cat"]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return make_model_folder(tmp_path_factory.mktemp("translate") / "model")


@pytest.fixture
def translated(model):
    return Translator.from_pretrained(model).translate(LINES)


def start(model: Path, **streams) -> subprocess.Popen:
    command = [sys.executable, "-m", "gnmt", "translate", str(model), "--threads", "1"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=ROOT, **{**pipes, **streams})


def answer(process: subprocess.Popen) -> str:
    """Returns the next line of the output, which must arrive while the input stays open."""
    ready, _, _ = select.select([process.stdout], [], [], SECONDS)
    assert ready, "no answer"
    return process.stdout.readline().decode("utf-8").rstrip("\n")


def test_a_line_is_answered_while_the_input_stays_open(model, translated):
    process = start(model)
    try:
        for line, expected in zip(LINES, translated):
            process.stdin.write(f"{line}\n".encode("utf-8"))
            process.stdin.flush()
            assert answer(process) == expected.text
        assert process.poll() is None
        rest, complaint = process.communicate(timeout=SECONDS)
        assert (process.returncode, rest, complaint) == (0, b"", b"")
    finally:
        process.kill()
        process.communicate()


def test_a_terminal_is_told_that_text_is_expected(model, translated):
    ours, theirs = os.openpty()
    try:
        process = start(model, stdin=theirs)
        try:
            os.write(ours, f"{LINES[0]}\n".encode("utf-8"))
            assert answer(process) == translated[0].text
            os.write(ours, b"\x04")  # Ctrl-D
            rest, told = process.communicate(timeout=SECONDS)
            assert (process.returncode, rest) == (0, b"")
            assert told == b"Type text, one sentence or paragraph per line; Ctrl-D ends.\n"
        finally:
            process.kill()
            process.wait()
    finally:
        os.close(ours)
        os.close(theirs)


def test_ctrl_c_and_a_reader_that_leaves_end_it_without_a_traceback(model):
    for ending in (signal.SIGINT, signal.SIGPIPE):
        process = start(model)
        try:
            process.stdin.write(b"The dog\n")
            process.stdin.flush()
            answer(process)
            if ending == signal.SIGINT:
                process.send_signal(ending)
            else:
                process.stdout.close()
                process.stdin.write(b"The dog\n" * 1000)
                process.stdin.close()
            complaint = process.stderr.read()
            assert process.wait(SECONDS) == -ending and complaint == b"", complaint
        finally:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                stream.close()


def test_a_full_output_is_an_error_in_one_line(model):
    with open("/dev/full", "wb") as full:
        command = [sys.executable, "-m", "gnmt", "translate", str(model)]
        done = subprocess.run(command, cwd=ROOT, input=b"The dog\n", stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1 and done.stderr.startswith(b"error: ") and done.stderr.count(b"\n") == 1, done.stderr
