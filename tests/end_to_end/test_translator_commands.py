"""Tests `python -m gnmt` from a checkpoint of fairseq-train to translations and back.

Expected translations come from fairseq-generate.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from commands import ROOT, Done, succeed
from hypotheses import generate
from tiny_corpora import OBJECTIVE, TASK, VALID, digit_pairs, digits, trained_on_digits


def gnmt(*arguments, stdin: str = "") -> Done:
    command = [sys.executable, "-m", "gnmt", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, input=stdin, capture_output=True, encoding="utf-8")
    return Done(done.returncode, done.stdout, done.stderr)


def printed(*arguments, stdin: str = "") -> str:
    """Returns the standard output of a command; its standard error must be empty."""
    done = gnmt(*arguments, stdin=stdin)
    assert (done.code, done.stderr) == (0, ""), done.text
    return done.stdout


def text_of(side: int) -> str:
    return "".join(f"{pair[side]}\n" for pair in digit_pairs(VALID, seed=2))


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "model"
    printed("export", trained_on_digits(), folder, "--tokenizer", "spaces")
    return folder


def test_translations_and_bleu_equal_fairseq_generate(model, tmp_path):
    references = tmp_path / "valid.de"
    references.write_text(text_of(1), encoding="utf-8")
    translations = printed("translate", model, stdin=text_of(0)).splitlines()
    expected = generate("--beam", 5)
    assert translations == [expected[index][0].text for index in range(VALID)]
    score = printed(
        "score", "--hypotheses", "-", "--references", references, stdin="".join(f"{line}\n" for line in translations)
    )
    (tmp_path / "valid.en").write_text(text_of(0), encoding="utf-8")
    table = printed(
        "grid", model, "--source", tmp_path / "valid.en", "--references", references, "--json", tmp_path / "g.json"
    )
    bleu = json.loads((tmp_path / "g.json").read_text())["measured"][0]["bleu"]
    assert f"BLEU = {bleu:.2f} " in score and f"| {bleu:.2f} |" in table


def test_an_imported_checkpoint_is_fine_tuned(model, tmp_path):
    """The first update has the loss of the exported checkpoint, which was already trained."""
    options = printed("import", model, tmp_path / "made").splitlines()[1].split()
    network = options[options.index("--arch") :]
    losses = []
    for checkpoint in (tmp_path / "made" / "checkpoint.pt", trained_on_digits()):
        out = succeed("train", digits(), *TASK, *network, *OBJECTIVE, "--lr", "1e-4", "--batch-size", 12, "--max-update", 1,
                      "--finetune-from-model", checkpoint, "--save-dir", tmp_path / "tuned", "--no-save", "--disable-validation",
                      "--log-format", "simple", "--log-interval", 1, "--dropout", 0)  # fmt: skip
        losses.append(float(re.search(r"train_inner .* nll_loss=([\d.]+)", out)[1]))
    assert losses[0] == losses[1] < 1


def test_the_deprecated_names_still_work():
    """Each name needs a separate process, so only one of each kind is tested."""
    for program, usage in (
        ([ROOT / "scripts" / "score.py"], "usage: scripts/score.py"),
        ([ROOT / "scripts" / "plot_training.py"], "usage: gnmt plot training"),
        ([ROOT / "scripts" / "benchmark_growth.py"], "usage: benchmark_growth.py"),
        (["-m", "fairseq_gnmt.data.words"], "usage: python -m fairseq_gnmt.data.words"),
    ):
        done = subprocess.run([sys.executable, *program, "--help"], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0 and done.stdout.startswith(usage), done.stderr


def test_a_deprecated_script_does_what_its_command_does(tmp_path):
    (tmp_path / "text").write_text("eins zwei drei vier\n", encoding="utf-8")
    arguments = ["--hypotheses", tmp_path / "text", "--references", tmp_path / "text"]
    old = subprocess.run([sys.executable, ROOT / "scripts" / "score.py", *arguments], capture_output=True, text=True)
    assert old.stdout == printed("score", *arguments) and "BLEU = 100.00" in old.stdout
