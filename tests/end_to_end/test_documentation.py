"""Blocks of the README and the documentation are executed, page by page, with a tiny model and small files."""

import shutil
from pathlib import Path

import pytest
import torch
from commands import in_a_fork
from corpus_mirror import sentence_pairs
from model_folders import make_model_folder
from pages import PAGES, blocks, name_of
from shell_lines import commands_of, gnmt

from gnmt.commands import prepare, train

README = PAGES[0]
TINY = {  # added to a command
    "prepare": "--vocab-size 120 --embedding-size 32 --jobs 1".split(),
    "train": "--arch gnmt_v2_tiny --threads 1 --epochs 2".split(),
}
OF_THE_MODEL = {"README.md"}  # the output depends on the model: test_demo.py compares it


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Path:
    """The files that the pages name, and what the README's commands of training make of them: DIR and MODEL."""
    folder = tmp_path_factory.mktemp("documentation")
    for number, name in enumerate(("train", "dev", "test")):
        for side, text in zip(("en", "fr"), zip(*sentence_pairs(100 if name == "train" else 5, number))):
            (folder / f"{name}.{side}").write_text("".join(f"{line}\n" for line in text), encoding="utf-8")
    for number in (1, 2):
        make_model_folder(folder / f"MODEL{number}", seed=number)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prepare, "run_fairseq_quietly", in_a_fork)
        patch.setattr(train, "run_fairseq", in_a_fork)
        patch.setattr("torch.cuda.is_available", lambda: False)
        patch.chdir(folder)
        for (command,) in commands_of(README):
            program, name, *arguments = command.words
            if program == "gnmt" and name in ("prepare", "train", "export"):
                gnmt([name, *arguments, *TINY.get(name, ())])
    return folder


@pytest.fixture
def folder(original, tmp_path, monkeypatch) -> Path:
    """A copy of the files, which is the current folder."""
    shutil.copytree(original, tmp_path / "files")
    monkeypatch.chdir(tmp_path / "files")
    monkeypatch.setattr(torch, "set_num_threads", lambda number: None)  # of the whole test process
    return Path()


WITH_PYTHON = [page for page in PAGES if any(blocks(page, "python"))]


@pytest.mark.parametrize("page", WITH_PYTHON, ids=map(name_of, WITH_PYTHON))
def test_python_blocks(page, folder, capsys):
    names = {}
    for block in blocks(page, "python"):
        exec(compile(block.text, f"Python of {page.name}", "exec"), names)
        printed = capsys.readouterr().out.splitlines()
        assert len(printed) >= block.text.count("print(")
        if block.printed and name_of(page) not in OF_THE_MODEL:
            assert printed == block.printed
