"""Tests README and documentation: commands parse, links and pictures exist, and README is short."""

import os
import re
import shlex
import subprocess
import sys
from importlib import import_module
from typing import List, Tuple

import pytest
from pages import PAGES, ROOT, blocks

from gnmt.__main__ import COMMANDS, MODULES
from gnmt.commands.command_line import parser_of

LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
# Replaces "..." in a command of fairseq-train.
USUAL_OPTIONS = shlex.split(
    "--user-dir fairseq_gnmt --task gnmt_translation --arch gnmt_v2 --criterion gnmt_label_smoothed_cross_entropy "
    "--optimizer gnmt_adam --lr-scheduler gnmt_warmup_step_decay --max-update 10"
)
ENDS_OF_COMMANDS = {"|", "<", ">", ">>", "&&", ";", "&", "2>"}


def commands(program: str) -> List[Tuple[str, List[str]]]:
    """Returns the command lines of a program in all bash blocks, with the names of their pages."""
    command_lines = []
    for block in (block for page in PAGES for block in blocks(page, "bash")):
        for line in block.text.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            for place, word in enumerate(words):
                if word == program and (place == 0 or words[place - 1] in ENDS_OF_COMMANDS or "=" in words[place - 1]):
                    end = next((i for i in range(place, len(words)) if words[i] in ENDS_OF_COMMANDS), len(words))
                    command_lines.append((block.page.name, words[place + 1 : end]))
    return command_lines


GNMT = commands("gnmt")
FAIRSEQ = [
    (page, name, words) for name in ("train", "generate", "interactive") for page, words in commands(f"fairseq-{name}")
]


def test_there_are_commands_to_check():
    assert {words[0] for _, words in GNMT} >= {"prepare", "train", "export", "translate", "score", "grid", "convert"}
    assert len(FAIRSEQ) >= 6


@pytest.mark.parametrize("page, words", GNMT, ids=[f"{page}-{words[0]}" for page, words in GNMT])
def test_gnmt_commands_parse(page, words):
    name, *arguments = words
    assert name in COMMANDS
    module = import_module(f"gnmt.commands.{MODULES.get(name, name)}")
    if hasattr(module, "DEFAULT_ACTION") and arguments[0] not in module.ACTIONS:
        arguments.insert(0, module.DEFAULT_ACTION)
    parser = parser_of(module, f"gnmt {name}")
    _, unknown = parser.parse_known_args(arguments)
    assert not unknown or getattr(module, "PASSES_OPTIONS_THROUGH", False)


@pytest.mark.parametrize("page, name, words", FAIRSEQ, ids=[f"{page}-{name}" for page, name, _ in FAIRSEQ])
def test_fairseq_commands_parse(page, name, words, monkeypatch):
    from fairseq import options

    monkeypatch.chdir(ROOT)
    get_parser = {
        "train": options.get_training_parser,
        "generate": options.get_generation_parser,
        "interactive": lambda: options.get_generation_parser(interactive=True),
    }[name]
    if "..." in words:
        words = [*USUAL_OPTIONS, *(word for word in words if word != "...")]
    monkeypatch.setattr(sys, "argv", [f"fairseq-{name}", *words])  # fairseq reads --user-dir from sys.argv
    options.parse_args_and_arch(get_parser(), input_args=words)


def test_scripts_and_programs_exist():
    for program in ("bash", "python"):
        for page, words in commands(program):
            if words and words[0].endswith((".sh", ".py")):
                assert (ROOT / words[0]).is_file(), (page, words[0])


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_links_lead_to_files(page):
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if "://" in target or target.startswith("#"):
            continue
        assert (page.parent / target.partition("#")[0]).exists(), target


def test_readme_fits_one_screen():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = text.splitlines()
    assert len(lines) <= 120 and len(text.split()) <= 700 and max(map(len, lines)) <= 100


def test_every_page_is_in_the_navigation():
    navigation = set(re.findall(r": ([\w/]+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE))
    written = {str(page.relative_to(ROOT / "docs")) for page in PAGES[1:]}
    assert written <= navigation


def test_the_site_builds_without_warnings(tmp_path):
    pytest.importorskip("mkdocs", reason="the extra [docs] is not installed")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    site = tmp_path / "site"
    assert "--coverage-penalty" in (site / "reference" / "options" / "index.html").read_text(encoding="utf-8")
    assert "gnmt translate" in (site / "reference" / "command_line" / "index.html").read_text(encoding="utf-8")
    assert "/v1/translate" in (site / "reference" / "http_api" / "index.html").read_text(encoding="utf-8")
    assert "from_pretrained" in (site / "reference" / "python_api" / "index.html").read_text(encoding="utf-8")
