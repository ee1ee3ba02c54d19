"""Tests `gnmt translate` between pipes: buffering, signals and a full output.

Expected translations come from `Translator`.
"""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

from model_folders import LINES
from processes import SECONDS

ROOT = Path(__file__).resolve().parents[2]


def start(model_folder: Path, **streams) -> subprocess.Popen:
    command = [sys.executable, "-m", "gnmt", "translate", str(model_folder), "--threads", "1"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=ROOT, **{**pipes, **streams})


def next_line(process: subprocess.Popen) -> str:
    """Returns the next line of the output, which must arrive while the input stays open."""
    ready, _, _ = select.select([process.stdout], [], [], SECONDS)
    assert ready, "no line was printed"
    return process.stdout.readline().decode("utf-8").rstrip("\n")


def test_a_line_is_answered_while_the_input_stays_open(model_folder, translated_lines):
    process = start(model_folder)
    try:
        for line, expected in zip(LINES, translated_lines):
            process.stdin.write(f"{line}\n".encode("utf-8"))
            process.stdin.flush()
            assert next_line(process) == expected.text
        assert process.poll() is None
        stdout, stderr = process.communicate(timeout=SECONDS)
        assert (process.returncode, stdout, stderr) == (0, b"", b"")
    finally:
        process.kill()
        process.communicate()


def test_a_terminal_gets_a_prompt(model_folder, translated_lines):
    controller, terminal = os.openpty()
    try:
        process = start(model_folder, stdin=terminal)
        try:
            os.write(controller, f"{LINES[0]}\n".encode("utf-8"))
            assert next_line(process) == translated_lines[0].text
            os.write(controller, b"\x04")  # Ctrl-D
            stdout, stderr = process.communicate(timeout=SECONDS)
            assert (process.returncode, stdout) == (0, b"")
            assert stderr == b"Type text, one sentence or paragraph per line; Ctrl-D ends.\n"
        finally:
            process.kill()
            process.wait()
    finally:
        os.close(controller)
        os.close(terminal)


def test_ctrl_c_and_a_reader_that_leaves_end_it_without_a_traceback(model_folder):
    for ending in (signal.SIGINT, signal.SIGPIPE):
        process = start(model_folder)
        try:
            process.stdin.write(b"The dog\n")
            process.stdin.flush()
            next_line(process)
            if ending == signal.SIGINT:
                process.send_signal(ending)
            else:
                process.stdout.close()
                process.stdin.write(b"The dog\n" * 1000)
                process.stdin.close()
            stderr = process.stderr.read()
            assert process.wait(SECONDS) == -ending and stderr == b"", stderr
        finally:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                stream.close()


def test_a_full_output_is_an_error_in_one_line(model_folder):
    with open("/dev/full", "wb") as full:
        command = [sys.executable, "-m", "gnmt", "translate", str(model_folder)]
        done = subprocess.run(command, cwd=ROOT, input=b"The dog\n", stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1 and done.stderr.startswith(b"error: ") and done.stderr.count(b"\n") == 1, done.stderr
