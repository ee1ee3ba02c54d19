"""Tests signals and pipes in real processes: a command ends by its signal, silently, and leaves no partial file.

Expected exit codes are the shell's.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from processes import SECONDS, is_running

ROOT = Path(__file__).parents[2]
WRITING = """
import multiprocessing, sys, time
from pathlib import Path
from gnmt.commands.process import run_command
from gnmt.files.outputs import atomic_outputs

def work():
    time.sleep(600)

def main():
    worker = multiprocessing.get_context("fork").Process(target=work)
    worker.start()
    with atomic_outputs([Path(sys.argv[1])], inputs=[], overwrite=True) as (file,):
        file.write(b"half")
        print(worker.pid, flush=True)
        time.sleep(600)

run_command(main)
"""


def run(code: str, *arguments, **options) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        **options,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("send", [os.kill, os.killpg])
def test_a_signal_ends_the_command_and_its_children_and_removes_its_output(tmp_path, number, send):
    command = [sys.executable, "-c", WRITING, str(tmp_path / "output")]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        worker = int(process.stdout.readline())
        assert len(list(tmp_path.iterdir())) == 1 and is_running(worker)
        send(process.pid, number)
        printed, stderr = process.communicate(timeout=SECONDS)
    assert (process.returncode, printed, stderr) == (-number, "", "")
    assert not list(tmp_path.iterdir()) and not is_running(worker)


def test_a_signal_sent_twice_ends_it_as_silently(tmp_path):
    command = [sys.executable, "-c", WRITING, str(tmp_path / "output")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        for _ in range(2):  # `timeout` sends the signal to the process and to its group
            process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=SECONDS) == ("", "")
    assert process.returncode == -signal.SIGTERM and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "statement",
    [
        "[print(number) for number in range(10**6)]",
        "print('short')",  # written when the interpreter ends
        "print('short'); sys.exit()",
        "import logging; logging.basicConfig(stream=sys.stdout); [logging.warning(number) for number in range(10**6)]",
    ],
)
def test_a_closed_pipe_ends_the_command_silently(statement):
    code = f"import sys; from gnmt.commands.process import run_command\ndef main(): {statement}\nrun_command(main)"
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=SECONDS)
    os.close(writing)
    assert (done.returncode, done.stderr) == (-signal.SIGPIPE, "")


def test_a_shell_shows_the_usual_exit_codes():
    code = (
        "import os, {0}; from gnmt.commands.process import run_command; run_command(lambda: os.kill(os.getpid(), {1}))"
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        shell = ["bash", "-c", '"$@"; echo $?', "bash", sys.executable, "-c", code.format("sys", int(number))]
        assert subprocess.run(shell, cwd=ROOT, capture_output=True, text=True).stdout == f"{128 + number}\n"


def test_a_broken_pipe_that_is_not_the_output_is_an_error():
    code = (
        "import os; from gnmt.commands.process import run_command\n"
        "def main(): raise BrokenPipeError(32, 'Broken pipe', 'elsewhere')\nrun_command(main)"
    )
    done = run(code)
    assert (done.returncode, done.stderr) == (1, "error: elsewhere: Broken pipe\n")


def test_explained_errors_show_their_traceback_when_asked():
    code = (
        "from gnmt.commands.process import run_command; from gnmt.errors import UserError\n"
        "def main(): raise UserError('a sentence')\nrun_command(main)"
    )
    plain = run(code)
    assert (plain.returncode, plain.stdout, plain.stderr) == (1, "", "error: a sentence\n")
    traced = run(code, env={**os.environ, "GNMT_TRACEBACK": "1"})
    assert traced.returncode == 1 and "Traceback" in traced.stderr
    assert traced.stderr.endswith("error: a sentence\n")


def test_other_errors_keep_their_traceback():
    done = run("from gnmt.commands.process import run_command; run_command(lambda: 1 / 0)")
    assert done.returncode == 1 and "Traceback" in done.stderr and "ZeroDivisionError" in done.stderr


def test_output_is_utf8_in_any_locale():
    code = "from gnmt.commands.process import run_command; run_command(lambda: print('\\u4f60'))"
    command = [sys.executable, "-X", "utf8=0", "-c", code]
    environment = {**os.environ, "LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0"}
    assert subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=True).stdout == "你\n".encode()


def test_importing_the_module_changes_nothing():
    code = (
        "import logging, signal, sys\n"
        "def state(): return (sys.excepthook, signal.getsignal(15), signal.getsignal(2), logging.Handler.handleError)\n"
        "before = state(); import gnmt.commands.process; print(state() == before)\n"
        "gnmt.commands.process.prepare_process(); print(state() == before)"
    )
    assert run(code).stdout == "True\nFalse\n"


def test_too_little_memory_is_reported():
    code = "from gnmt.commands.process import run_command\ndef main(): raise MemoryError('12 TiB')\nrun_command(main)"
    done = run(code)
    assert done.returncode == 1 and done.stderr.startswith("error: Out of memory: use smaller batches")
