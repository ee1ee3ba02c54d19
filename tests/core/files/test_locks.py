"""Tests locks of folders: a lock ends with its process, and error messages name the process.

Expected messages are written by hand.
"""

import fcntl
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from gnmt.errors import UserError
from gnmt.files.locks import NAME, lock_folder

ROOT = Path(__file__).parents[3]
HOLDING = """
import multiprocessing, os, sys, time
from pathlib import Path
from gnmt.files.locks import lock_folder

def work():
    print(os.getpid(), flush=True)  # in the child: its copy of the lock is closed by then
    time.sleep(600)

lock = lock_folder(Path(sys.argv[1]))
multiprocessing.get_context("fork").Process(target=work).start()
time.sleep(600)
"""


def test_another_process_is_named_and_its_death_frees_the_folder(tmp_path):
    """The process is killed by SIGKILL while its forked child keeps running."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as holder:
        worker = int(holder.stdout.readline())
        sentence = f"{tmp_path} is in use by process {holder.pid} on {socket.gethostname()}: wait until it ends"
        with pytest.raises(UserError, match=sentence):
            lock_folder(tmp_path)
        holder.kill()
        holder.wait()
        os.kill(worker, 0)  # it still runs
        try:
            lock = lock_folder(tmp_path)
        finally:
            os.kill(worker, signal.SIGKILL)
    assert (tmp_path / NAME).read_text() == f"process {os.getpid()} on {socket.gethostname()}\n"
    lock.release()


def test_a_lock_is_held_until_it_is_released(tmp_path):
    lock = lock_folder(tmp_path)
    with pytest.raises(UserError, match=f"in use by process {os.getpid()} "):
        lock_folder(tmp_path)
    lock.release()
    lock.release()
    lock_folder(tmp_path).release()


def test_a_child_that_ends_does_not_release_it(tmp_path):
    lock = lock_folder(tmp_path)
    child = multiprocessing.get_context("fork").Process(target=lock.release)
    child.start()
    child.join()
    with pytest.raises(UserError, match="in use"):
        lock_folder(tmp_path)
    lock.release()


def test_a_file_system_without_locks_is_reported_once_and_used(tmp_path, monkeypatch, caplog):
    def refuse(*_):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)
    assert lock_folder(tmp_path) is None
    assert len(caplog.records) == 1 and "cannot be locked (Function not implemented)" in caplog.text


def test_a_folder_that_cannot_be_written_is_reported_and_used(tmp_path, caplog):
    (tmp_path / NAME).mkdir()  # opening a folder for writing fails, also for root
    assert lock_folder(tmp_path) is None
    assert "cannot be locked" in caplog.text


def test_the_shell_takes_the_same_lock(tmp_path):
    """lock_folder in examples/environment.sh and in Python exclude each other, and both name the holder."""
    script = f"set -euo pipefail; source {ROOT}/examples/environment.sh; lock_folder '{tmp_path}'; "
    with subprocess.Popen(
        ["bash", "-c", script + "echo locked; read line; exit 3"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as shell:
        assert shell.stdout.readline() == "locked\n"
        with pytest.raises(UserError, match=f"in use by process {shell.pid} on "):
            lock_folder(tmp_path)
        assert shell.communicate("\n")[0] == "" and shell.returncode == 3
    lock = lock_folder(tmp_path)
    done = subprocess.run(["bash", "-c", script + "echo locked"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "") and f"in use by process {os.getpid()} on" in done.stderr
    lock.release()
    # A script that the holder calls may use its lock.
    done = subprocess.run(
        ["bash", "-c", script + f'bash -c "{script} echo inner"'], capture_output=True, text=True, check=True
    )
    assert done.stdout == "inner\n"


def test_the_target_of_a_link_is_not_overwritten(tmp_path):
    (tmp_path / "precious").write_text("precious")
    (tmp_path / ".lock").symlink_to("precious")
    with pytest.raises(UserError, match=".lock is a link, and its target would be overwritten: remove the link"):
        lock_folder(tmp_path)
    assert (tmp_path / "precious").read_text() == "precious"
