"""Tests atomic outputs: complete or absent, for each kind of file and each way in which a process ends.

Expected contents are written by hand.
"""

import errno
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from gnmt.errors import UserError
from gnmt.files.outputs import atomic_outputs, remove_abandoned

ROOT = Path(__file__).parents[3]


def test_outputs_appear_only_when_complete(tmp_path: Path) -> None:
    first, second = tmp_path / "new folder" / "first", tmp_path / "second"
    with atomic_outputs([first, second], inputs=[], overwrite=False) as (first_file, second_file):
        first_file.write(b"1")
        second_file.write(b"2")
        assert not first.exists() and not second.exists()
    assert (first.read_bytes(), second.read_bytes()) == (b"1", b"2")
    assert sorted(tmp_path.rglob("*")) == [first.parent, first, second]  # no other files remain


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, UserError])
def test_interrupted_outputs_keep_the_earlier_file(tmp_path: Path, stop: type) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_bytes(b"old")
    with pytest.raises(stop):
        with atomic_outputs([old, new], inputs=[], overwrite=True) as (file, _):
            file.write(b"half")
            raise stop
    assert old.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [old]


def test_full_disk_keeps_the_earlier_file(tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.write_bytes(b"old")
    with pytest.raises(UserError, match="old could not be written .No space left on device.: make room"):
        with atomic_outputs([old], inputs=[], overwrite=True):
            raise OSError(errno.ENOSPC, "No space left on device")
    assert old.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [old]


def test_full_disk_as_torch_reports_it(tmp_path: Path) -> None:
    """torch.save raises its own error while it handles the error of the file."""

    def save() -> None:
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        finally:
            raise RuntimeError("unexpected pos 704 vs 598")

    with pytest.raises(UserError, match="new could not be written .No space left on device.: make room"):
        with atomic_outputs([tmp_path / "new"], inputs=[], overwrite=False):
            save()
    with pytest.raises(RuntimeError, match="another"):
        with atomic_outputs([tmp_path / "new"], inputs=[], overwrite=False):
            raise RuntimeError("another")
    assert not list(tmp_path.iterdir())


def test_refused_outputs(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.write_bytes(b"old")
    refused = [
        ([there], [], False, "there exists: .* --overwrite"),
        ([there], [there], True, "there is an input too"),
        ([tmp_path], [], True, "is a folder"),
        ([tmp_path / "a", tmp_path / "a"], [], False, "share the name"),
        ([tmp_path / "a", there / "b"], [], False, "Cannot write to the folder .*there"),
    ]
    for paths, inputs, overwrite, sentence in refused:
        with pytest.raises(UserError, match=sentence):
            with atomic_outputs(paths, inputs=inputs, overwrite=overwrite):
                pytest.fail("the block must not be entered")
    assert list(tmp_path.iterdir()) == [there]
    assert there.read_bytes() == b"old"


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_pipe_receives_the_bytes_and_stays_a_pipe(tmp_path: Path, overwrite: bool) -> None:
    pipe, received = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: received.append(pipe.read_bytes()))
    reader.start()
    with atomic_outputs([pipe, tmp_path / "file"], inputs=[], overwrite=overwrite) as (to_pipe, to_file):
        to_pipe.write(b"bytes")
        to_file.write(b"others")
    reader.join(10)
    assert received == [b"bytes"] and stat.S_ISFIFO(os.stat(pipe).st_mode)
    assert (tmp_path / "file").read_bytes() == b"others"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "pipe"]


def test_a_pipe_whose_reader_ends_early_is_reported(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["head", "-c", "1", str(pipe)], stdout=subprocess.DEVNULL):
        with pytest.raises(UserError, match="pipe could not be written: its reader ended"):
            with atomic_outputs([pipe], inputs=[], overwrite=True) as (file,):
                for _ in range(100):
                    file.write(bytes(1 << 16))


def test_a_terminal_is_written_directly(tmp_path: Path) -> None:
    controller, terminal = os.openpty()
    name = Path(os.ttyname(terminal))
    with atomic_outputs([name], inputs=[], overwrite=False) as (file,):
        file.write(b"shown")
    assert os.read(controller, 5) == b"shown" and name.is_char_device()
    os.close(terminal), os.close(controller)


def test_a_full_device_is_reported_and_stays_a_device() -> None:
    for block in (b"x", bytes(1 << 20)):  # the write fails at a flush, or directly
        with pytest.raises(UserError, match="/dev/full could not be written .No space left on device."):
            with atomic_outputs([Path("/dev/full")], inputs=[], overwrite=True) as (file,):
                file.write(block)
    assert Path("/dev/full").is_char_device()


def test_a_socket_is_refused(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        with pytest.raises(UserError, match="not a file: choose another output"):
            with atomic_outputs([tmp_path / "socket"], inputs=[], overwrite=True):
                pytest.fail("the block must not be entered")
    assert (tmp_path / "socket").is_socket()


def test_a_link_stays_and_its_target_is_written(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    target, new = tmp_path / "there" / "target", tmp_path / "there" / "new"
    target.write_bytes(b"old")
    target.chmod(0o640)
    link, dangling = tmp_path / "link", tmp_path / "dangling"
    link.symlink_to(Path("there", "target"))
    dangling.symlink_to(new)
    with pytest.raises(UserError, match="--overwrite"):
        with atomic_outputs([link], inputs=[], overwrite=False):
            pass
    with atomic_outputs([link, dangling], inputs=[], overwrite=True) as files:
        for file in files:
            file.write(b"written")
    assert link.is_symlink() and dangling.is_symlink()
    assert target.read_bytes() == new.read_bytes() == b"written"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    with pytest.raises(UserError, match="share the name"):
        with atomic_outputs([link, target], inputs=[], overwrite=True):
            pass


def test_a_link_is_replaced_where_links_are_not_followed(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    link.symlink_to(target)
    with atomic_outputs([link], inputs=[], overwrite=True, follow_links=False) as (file,):
        file.write(b"new")
    assert not link.is_symlink()
    assert (link.read_text(), target.read_text()) == ("new", "old")


def test_stdout_in_a_file_is_continued(tmp_path: Path) -> None:
    """Opening /dev/stdout by name would overwrite the file from its start, or replace it."""
    code = (
        "from pathlib import Path; from gnmt.files.outputs import atomic_outputs; print('before')\n"
        "with atomic_outputs([Path('/dev/stdout')], inputs=[], overwrite=False) as (file,): file.write(b'output\\n')\n"
        "print('after')"
    )
    with open(tmp_path / "log", "wb") as log:
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, stdout=log, check=True)
    assert (tmp_path / "log").read_text() == "before\noutput\nafter\n"
    assert list(tmp_path.iterdir()) == [tmp_path / "log"]


def test_partial_files_of_killed_processes_are_removed_and_others_stay(tmp_path: Path, caplog) -> None:
    code = (
        "import sys; from pathlib import Path; from gnmt.files.outputs import atomic_outputs\n"
        "with atomic_outputs([Path(sys.argv[1])], inputs=[], overwrite=False) as (file,):\n"
        "    print(flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "output")]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        writer.stdout.readline()
        (partial,) = tmp_path.iterdir()
        remove_abandoned(tmp_path)
        assert partial.exists()  # its writer is still running
        writer.kill()
    assert partial.exists()
    (tmp_path / ".output.partial").touch()  # not a partial file of this package
    with atomic_outputs([tmp_path / "another"], inputs=[], overwrite=False):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == [".output.partial", "another"]
    assert f"{partial} was removed" in caplog.text


def test_ctrl_c_between_two_renames_waits_for_the_second(tmp_path: Path, monkeypatch) -> None:
    rename = Path.replace

    def interrupted(path: Path, target: Path) -> None:
        rename(path, target)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Path, "replace", interrupted)
    outputs = [tmp_path / "a", tmp_path / "b"]
    with pytest.raises(KeyboardInterrupt):
        with atomic_outputs(outputs, inputs=[], overwrite=False):
            pass
    assert sorted(tmp_path.iterdir()) == outputs


def test_ctrl_c_while_an_output_is_opened_leaves_nothing(tmp_path: Path, monkeypatch) -> None:
    """The signal arrives after the second partial file is created and before it is registered."""
    opened = []

    def copy_permissions(final, partial):
        opened.append(partial)
        if len(opened) == 2:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("gnmt.files.outputs.shutil.copymode", copy_permissions)
    with pytest.raises(KeyboardInterrupt):
        with atomic_outputs([tmp_path / "one", tmp_path / "two"], inputs=[], overwrite=True):
            pytest.fail("the block must not be entered")
    assert len(opened) == 2 and list(tmp_path.iterdir()) == []


def test_writers_of_one_output_take_turns(tmp_path: Path) -> None:
    output, began = tmp_path / "output", threading.Event()

    def write() -> None:
        with atomic_outputs([output], inputs=[], overwrite=True) as (file,):
            began.set()
            time.sleep(0.2)
            file.write(b"first")

    writer = threading.Thread(target=write)
    writer.start()
    began.wait()
    with atomic_outputs([output], inputs=[], overwrite=True) as (file,):
        file.write(b"second")
    writer.join()
    assert output.read_bytes() == b"second" and list(tmp_path.iterdir()) == [output]
