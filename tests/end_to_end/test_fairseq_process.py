"""Tests fairseq's commands as child processes: exit status, messages, and termination together with the parent.

Expected values are written by hand.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from processes import SECONDS, is_running, wait_until

from gnmt.commands import fairseq
from gnmt.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
# A parent process that runs the code of its second argument in place of fairseq-train.
PARENT = """
import sys
from pathlib import Path
from gnmt.commands import fairseq
from gnmt.commands.process import run_command
fairseq.command_of = lambda name, arguments: [sys.executable, "-c", *arguments]
run_command(lambda: fairseq.run_fairseq("train", sys.argv[2:], log=Path(sys.argv[1])))
"""
WAITING = "import os, time; print('pid', os.getpid(), flush=True); time.sleep(600)"


@pytest.fixture
def run_code(monkeypatch):
    """Runs Python code in place of fairseq-train."""
    monkeypatch.setattr(fairseq, "command_of", lambda name, arguments: [sys.executable, "-c", *arguments])
    return lambda code, **options: fairseq.run_fairseq("train", [code], **options)


@pytest.mark.parametrize(
    "code, status",
    [
        ("import sys; sys.exit(3)", 3),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", 128 + signal.SIGTERM),
    ],
)
def test_the_exit_status_of_a_failure_is_passed_on(run_code, code, status):
    with pytest.raises(SystemExit) as ended:
        run_code(code)
    assert ended.value.code == status


def test_messages_are_shown_and_appended_to_the_log(run_code, tmp_path, capfdbinary):
    log = tmp_path / "new" / "train.log"
    run_code("print('one ä')", log=log)
    code = "import os; print('two', flush=True); print(os.environ['GIVEN'])"
    run_code(code, log=log, environment={**os.environ, "GIVEN": "x"})
    assert log.read_text(encoding="utf-8") == "one ä\ntwo\nx\n"
    assert capfdbinary.readouterr().out == "one ä\ntwo\nx\n".encode()


def test_messages_are_shortened_on_the_terminal_only(run_code, tmp_path, capfd):
    log = tmp_path / "train.log"
    run_code("print('one'); print('two', end='')", log=log, shorten=lambda line: "2" if line == "two" else None)
    assert log.read_text() == "one\ntwo" and capfd.readouterr().out == "2\n"


def test_messages_of_a_quiet_command_are_shown_after_a_failure(monkeypatch, tmp_path, capfd):
    monkeypatch.setattr(fairseq, "command_of", lambda name, arguments: [sys.executable, "-c", *arguments])
    messages = tmp_path / "messages"
    fairseq.run_fairseq_quietly("preprocess", ["import sys; print('INFO', file=sys.stderr)"], messages)
    assert not messages.exists() and capfd.readouterr().err == ""
    with pytest.raises(SystemExit) as ended:
        fairseq.run_fairseq_quietly("preprocess", ["import sys; print('no', file=sys.stderr); sys.exit(2)"], messages)
    assert ended.value.code == 2 and capfd.readouterr().err == "no\n"


def parent(log: Path, code: str = WAITING) -> subprocess.Popen:
    command = [sys.executable, "-c", PARENT, str(log), code]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_parent_ends_the_child(number, tmp_path):
    with parent(tmp_path / "log") as process:
        child = int(process.stdout.readline().split()[1])
        process.send_signal(number)
        assert process.wait(SECONDS) == -number
    assert not is_running(child)


def test_a_closed_pipe_ends_both(tmp_path):
    code = "import os, time; print('pid', os.getpid(), flush=True)\n"
    process = parent(tmp_path / "log", code + "while True: time.sleep(0.1); print('more', flush=True)")
    child = int(process.stdout.readline().split()[1])
    process.stdout.close()
    assert process.wait(SECONDS) == -signal.SIGPIPE
    wait_until(lambda: not is_running(child))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux signals the death of a parent to its child")
def test_the_child_ends_if_the_parent_is_killed(tmp_path):
    process = parent(tmp_path / "log")
    child = int(process.stdout.readline().split()[1])
    process.kill()
    process.wait()
    process.stdout.close()
    wait_until(lambda: not is_running(child))


@pytest.mark.parametrize("package", ["fairseq", "fairseq_gnmt"])
def test_a_missing_package_is_named_with_its_extra(package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=rf"needs the package {package}: run pip install -e '\.\[fairseq\]'"):
        fairseq.plugin_folder()


def test_the_plugin_is_found_without_importing_it():
    assert fairseq.plugin_folder() == ROOT / "fairseq_gnmt"
