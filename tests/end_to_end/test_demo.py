"""Tests the demo command of the README, from corpus to BLEU, in the environment of the tests."""

import contextlib
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pages import blocks

from gnmt.translator import Translator

ROOT = Path(__file__).parents[2]


def demo(*options, directory: Path):
    environment = {
        **os.environ,
        "VIRTUAL_ENV": sys.prefix,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    return subprocess.run(
        ["bash", ROOT / "scripts" / "demo.sh", *options], cwd=directory, env=environment, capture_output=True, text=True
    )


@pytest.mark.parametrize(
    "options,words",
    [
        (["--corpus", "wmt"], "--corpus is 'wmt', but must be grammar or multi30k"),
        (["--data", "x"], "--data is for --corpus multi30k"),
        (["--seed", "no"], "--seed is 'no'"),
        (["--corpsu"], "unknown option --corpsu"),
        (["--output"], "--output needs a value"),
    ],
)
def test_mistakes(options, words, tmp_path):
    run = demo(*options, directory=tmp_path)
    assert run.returncode == 1 and words in run.stderr and len(run.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def check_the_readme(model: Path) -> None:
    """Runs the Python block of the README; texts must equal the shown ones, scores about."""
    (block,) = blocks(ROOT / "README.md", "python")
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(block.text.replace('"MODEL"', repr(str(model))), {})
    actual, shown = (
        [line.partition(" ") for line in lines] for lines in (printed.getvalue().splitlines(), block.printed)
    )
    assert [text for _, _, text in actual] == [text for _, _, text in shown]
    assert [float(score) for score, *_ in actual] == pytest.approx([float(score) for score, *_ in shown], abs=0.1)


@pytest.mark.slow
@pytest.mark.skipif(not (ROOT / ".venv/environment.stamp").exists(), reason="needs scripts/environment.sh to have run")
def test_learns_the_grammar(tmp_path):
    run = demo("--output", "my corpus", directory=tmp_path)
    assert run.returncode == 0, run.stderr[-2000:]
    scores = re.findall(r"BLEU = ([\d.]+) .*(nrefs:1\|case:\w+\|\S+)", run.stdout)
    assert [signature.split("|")[1] for _, signature in scores] == ["case:mixed", "case:lc"]
    assert float(scores[0][0]) >= 90
    assert "next: gnmt train" not in run.stdout and "BPE tokens" not in run.stderr
    assert " left\n" in run.stdout and len(run.stdout.splitlines()) < 60
    assert run.stdout.count("  translation ") == 5
    check_the_readme(tmp_path / "my corpus" / "model")
    page = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
    translator = Translator.from_pretrained(tmp_path / "my corpus" / "model")
    for source in ("The dog sees a cat.", "The cat runs.", "The girls buy a cake."):
        assert source in page and f'"{translator.translate([source])[0].text}"' in page
    again = demo("--output", "my corpus", directory=tmp_path)
    assert again.returncode == 0 and "already trained" in again.stderr
