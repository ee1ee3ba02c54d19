"""Outputs that are complete or absent."""
import errno
from pathlib import Path

import pytest

from fairseq_gnmt.errors import UserError
from fairseq_gnmt.data.parallel_text import atomic_outputs


def test_outputs_appear_only_when_complete(tmp_path: Path) -> None:
    first, second = tmp_path / "new folder" / "first", tmp_path / "second"
    with atomic_outputs([first, second], inputs=[], overwrite=False) as (first_file, second_file):
        first_file.write(b"1")
        second_file.write(b"2")
        assert not first.exists() and not second.exists()
    assert (first.read_bytes(), second.read_bytes()) == (b"1", b"2")
    assert sorted(tmp_path.rglob("*")) == [first.parent, first, second]  # nothing else is left


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, UserError])
def test_interrupted_outputs_leave_what_was_there(tmp_path: Path, stop: type) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_bytes(b"old")
    with pytest.raises(stop):
        with atomic_outputs([old, new], inputs=[], overwrite=True) as (file, _):
            file.write(b"half")
            raise stop
    assert old.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [old]


def test_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.write_bytes(b"old")
    with pytest.raises(UserError, match="old could not be written .No space left on device.: make room"):
        with atomic_outputs([old], inputs=[], overwrite=True):
            raise OSError(errno.ENOSPC, "No space left on device")
    assert old.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [old]


def test_full_disk_as_torch_tells_it(tmp_path: Path) -> None:
    """torch.save raises an error of its own while it handles that of the file."""

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
