"""Tests folders that are renamed into place only when they are complete. Expected contents are written by hand."""

from pathlib import Path

import pytest

from gnmt.errors import UserError
from gnmt.files.folders import complete_folder


def write(path: Path, replaces: bool = False, overwrite: bool = False) -> None:
    with complete_folder(path, replaces=lambda folder: replaces, overwrite=overwrite) as folder:
        (folder / "file").write_text("new")


def test_a_folder_appears_when_it_is_complete(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        with complete_folder(tmp_path / "x", replaces=lambda folder: False):
            raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
    write(tmp_path / "x")
    assert [path.name for path in tmp_path.iterdir()] == ["x"] and (tmp_path / "x" / "file").read_text() == "new"


def test_an_existing_folder_is_replaced_only_if_it_may_be(tmp_path):
    write(tmp_path / "x")
    with pytest.raises(UserError, match="x exists: choose another folder, or remove it first"):
        write(tmp_path / "x", overwrite=True)
    with pytest.raises(UserError, match="x exists: choose another folder, or replace it with --overwrite"):
        write(tmp_path / "x", replaces=True)
    write(tmp_path / "x", replaces=True, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_the_current_folder_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in (Path("."), Path(""), tmp_path):
        with pytest.raises(UserError, match="is the current folder, which cannot be replaced: name a new folder"):
            write(path)
