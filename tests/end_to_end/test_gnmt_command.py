"""`python -m gnmt` from a checkpoint of fairseq-train to translations, and back to fairseq-train."""
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
    """What a command printed, which is nothing on stderr."""
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


def test_translations_and_bleu_are_those_of_fairseq_generate(model, tmp_path):
    references = tmp_path / "valid.de"
    references.write_text(text_of(1), encoding="utf-8")
    found = printed("translate", model, stdin=text_of(0)).splitlines()
    expected = generate("--beam", 5)
    assert found == [expected[index][0].text.replace("<unk>", "⁇") for index in range(VALID)] or found == [
        expected[index][0].text for index in range(VALID)
    ]
    score = printed("score", "--hypotheses", "-", "--references", references, stdin="".join(f"{line}\n" for line in found))
    (tmp_path / "valid.en").write_text(text_of(0), encoding="utf-8")
    table = printed("grid", model, "--source", tmp_path / "valid.en", "--references", references, "--json", tmp_path / "g.json")
    bleu = json.loads((tmp_path / "g.json").read_text())["measured"][0]["bleu"]
    assert f"BLEU = {bleu:.2f} " in score and f"| {bleu:.2f} |" in table


def test_an_imported_checkpoint_is_fine_tuned(model, tmp_path):
    """The first update has the loss of the checkpoint that was exported, which had learnt the task."""
    options = printed("import", model, tmp_path / "made").splitlines()[1].split()
    network = options[options.index("--arch") :]
    losses = []
    for checkpoint in (tmp_path / "made" / "checkpoint.pt", trained_on_digits()):
        out = succeed("train", digits(), *TASK, *network, *OBJECTIVE, "--lr", "1e-4", "--batch-size", 12, "--max-update", 1,
                      "--finetune-from-model", checkpoint, "--save-dir", tmp_path / "tuned", "--no-save", "--disable-validation",
                      "--log-format", "simple", "--log-interval", 1, "--dropout", 0)  # fmt: skip
        losses.append(float(re.search(r"train_inner .* nll_loss=([\d.]+)", out)[1]))
    assert losses[0] == losses[1] < 1


def test_the_deprecated_names_still_work(tmp_path):
    (tmp_path / "text").write_text("eins zwei drei vier\n", encoding="utf-8")
    for name in ("score.py", "average_checkpoints.py", "plot_training.py", "convert_nvidia_checkpoint.py"):
        done = subprocess.run([sys.executable, ROOT / "scripts" / name, "--help"], capture_output=True, text=True)
        assert done.returncode == 0 and "usage:" in done.stdout, done.stderr
    for name in ("cleaning", "cooccurrence", "mixed_word_char", "subwords", "words"):
        command = [sys.executable, "-m", f"fairseq_gnmt.data.{name}", "--help"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0 and done.stdout.startswith(f"usage: python -m fairseq_gnmt.data.{name}"), done.stderr
