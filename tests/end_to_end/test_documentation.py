"""Tests that all code blocks of the README and the documentation run, page by page, with a tiny model.

Expected output is the output shown on the page.
"""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Dict, List, Optional

import pytest
import torch
import zstandard
from commands import in_a_fork
from conftest import Golden
from corpus_mirror import sentence_pairs
from nvidia_checkpoints import save, stored
from pages import PAGES, blocks, name_of
from processes import SECONDS
from served import make_translator, served
from shell_lines import Command, commands_of, run_pipe

from gnmt.commands import bench, prepare, train
from gnmt.commands.speed import measure

README = PAGES[0]
ADDED = {  # options for the tiny model and the small files, by the first words of a command
    "gnmt prepare --train": "--vocab-size 120 --embedding-size 32 --jobs 1",
    "gnmt prepare --model": "--jobs 1",
    "gnmt train DIR": "--arch gnmt_v2_tiny --threads 1 --epochs 5",
    "gnmt train TUNED": "--threads 1",
    "gnmt bulk MODEL": "--threads 1",
    "gnmt export": "--overwrite",  # MODEL exists from the start
    "gnmt convert": "--overwrite",
    "gnmt bench": "--sentences 2 --single 1 --repetitions 1",
    "gnmt rate prepare": "--items 5 --controls 0",  # the test set has 5 sentences
}
EXCEPTED = {  # commands that are not run, by their first words
    "gnmt serve": "runs until it is stopped: test_serve.py",
    "gnmt rate serve": "runs until it is stopped: test_rating_page.py",
    "gnmt train DIR --precision bf16": "another training run in the same folder: test_bfloat16.py",
    "gnmt train DIR --replicas": "needs Ray and several processes: test_asynchronous.py",
    "fairseq-train": "trains for long: test_docs.py parses it, test_training_recipes.py trains",
    "fairseq-interactive DIR": "reads the output of a script: test_nvidia.py",
    "python scripts/convert_nvidia_checkpoint.py": "a script of the checkout: test_nvidia.py",
    "python scripts/compare_searches.py": "needs a trained model: test_compare_searches.py",
    "python benchmarks": "measures for minutes",
    "OMP_NUM_THREADS=1 python": "measures for minutes",
    "bash": "builds an environment, downloads or trains: test_demo.py",
    "pip": "installs packages",
    "source": "a part of the shell",
    "curl": "needs a server: test_requests_by_curl",
    "parallel": "a program that may be absent",
    "sbatch": "needs Slurm",
}
OF_THE_MODEL = {"README.md"}  # the output depends on the model: test_demo.py compares it


def exception_of(pipe: List[Command]) -> Optional[str]:
    """Returns the entry of EXCEPTED for the commands of a pipe."""
    lines = [" ".join(command.words) for command in pipe]
    return next((start for start in EXCEPTED if any(line.startswith(start) for line in lines)), None)


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Path:
    """Fixture: the files that the pages name, and the folders DIR and MODEL that the README's commands create."""
    folder = tmp_path_factory.mktemp("documentation")
    write_texts(folder)
    with pytest.MonkeyPatch.context() as patch:
        make_safe(patch, folder)
        for pipe in commands_of(README):
            if exception_of(pipe) is None:
                run_pipe(pipe, ADDED)
    for name in ("DATA", "BIN"):
        shutil.copytree(folder / "DIR" / "bin", folder / name)
    shutil.copyfile(folder / "DIR" / "checkpoints" / "averaged.pt", folder / "CHECKPOINT")
    shutil.copyfile(folder / "DIR" / "subwords.model", folder / "subwords.model")
    return folder


def make_safe(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Patches this process: fairseq runs in forks, and threads and device are not changed."""
    patch.chdir(folder)
    patch.setattr(prepare, "run_fairseq_quietly", in_a_fork)
    patch.setattr(train, "run_fairseq", in_a_fork)
    patch.setattr(bench, "measure_apart", measure)
    patch.setattr(torch, "set_num_threads", lambda number: None)
    patch.setattr(torch.cuda, "is_available", lambda: False)


def write_texts(folder: Path) -> None:
    """Writes small files with the names that the pages use."""
    for number, names in enumerate((["train", "corpus"], ["dev"], ["test", "new", "baseline", "translated", "text"])):
        for side, lines in zip(("en", "fr"), zip(*sentence_pairs(5 if number else 100, number))):
            text = "".join(f"{line}\n" for line in lines)
            for name in names:
                (folder / f"{name}.{side}").write_text(text, encoding="utf-8")
                shutil.copyfile(folder / f"{name}.fr", folder / f"{name}.de") if side == "fr" else None
    for name in ("news.en", "mono.de"):
        (folder / f"{name}.zst").write_bytes(zstandard.compress((folder / "test.en").read_bytes()))
    log = "".join(f"D-{n}\t-0.1\t{line}\n" for n, line in enumerate(open(folder / "test.de", encoding="utf-8")))
    (folder / "generate.txt").write_text(log, encoding="utf-8")
    shutil.copyfile(folder / "test.en", folder / "newstest2014.en")
    save(stored(Golden("tiny_4_layers")), folder / "nvidia.pt")


@pytest.fixture
def folder(original, tmp_path, monkeypatch) -> Path:
    """Fixture: a copy of the files, which is the current folder."""
    shutil.copytree(original, tmp_path / "files")
    make_safe(monkeypatch, tmp_path / "files")
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


WITH_COMMANDS = [page for page in PAGES if any(exception_of(pipe) is None for pipe in commands_of(page))]


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=map(name_of, WITH_COMMANDS))
def test_commands(page, folder):
    for pipe in commands_of(page):
        if exception_of(pipe) is None:
            before = contents(folder)
            assert run_pipe(pipe, ADDED) or contents(folder) != before, pipe


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_requests_by_curl(tmp_path):
    (tmp_path / "page.html").write_text("<p>the dog runs .</p>", encoding="utf-8")
    pipes = [pipe for page in PAGES for pipe in commands_of(page) if pipe[0].words[0] == "curl"]
    with served([make_translator(tmp_path / "MODEL")]) as server:
        for ((words, *_),) in pipes:
            command = [word.replace("http://127.0.0.1:5000", server.url) for word in words]
            done = subprocess.run([*command, "--silent", "--fail"], cwd=tmp_path, capture_output=True, timeout=SECONDS)
            assert json.loads(done.stdout).keys() & {"translatedText", "translatedFileUrl", "translations"}, words
    assert len(pipes) >= 4


def contents(folder: Path) -> Dict[Path, int]:
    """Returns files and their modification times."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_every_exception_occurs():
    assert {exception_of(pipe) for page in PAGES for pipe in commands_of(page)} >= set(EXCEPTED)
