"""Tests scripts/compare_searches.py. Expected BLEU comes from fairseq-generate with the same options."""

import json
import math
import subprocess
import sys

import pytest
import torch
from commands import ROOT, Done
from hypotheses import generate
from sacrebleu.metrics import BLEU
from tiny_corpora import VALID, digit_pairs, digits, trained_on_digits


@pytest.fixture
def references(tmp_path):
    path = tmp_path / "valid.de"
    path.write_text("".join(f"{de}\n" for _, de in digit_pairs(VALID, seed=2)), encoding="utf-8")
    return path


def compare(*options) -> Done:
    command = [sys.executable, ROOT / "scripts/compare_searches.py", digits(), "--path", trained_on_digits(), *options]
    done = subprocess.run(list(map(str, command)), capture_output=True, encoding="utf-8")
    return Done(done.returncode, done.stdout, done.stderr)


def test_every_combination(references, tmp_path):
    options = ["--references", references, "--json", tmp_path / "found.json"]
    done = compare(*options, "--beam", 1, 4, "--length-norm-factor", 0, 3, "--coverage-penalty", 0.2)
    assert done.code == 0, done.stderr
    report = json.loads((tmp_path / "found.json").read_text())
    measured = report["measured"]
    assert [(row["beam"], row["length_norm_factor"]) for row in measured] == [(1, 0), (1, 3), (4, 0), (4, 3)]
    twin = generate("--beam", 4, "--length-norm-factor", 3, "--coverage-penalty", 0.2)
    expected = BLEU().corpus_score(
        [twin[index][0].text for index in range(VALID)], [references.read_text(encoding="utf-8").splitlines()]
    )
    assert measured[3]["bleu"] == pytest.approx(expected.score, abs=1e-6)
    assert f"| 4 | 3 | {expected.score:.2f} | {measured[3]['gleu']:.2f} |" in done.stdout and "tok:13a" in done.stdout

    scored = generate("--score-reference")  # fairseq's own scores, from one pass for each batch
    steps = [step for nbest in scored.values() for step in nbest[0].steps]
    assert report["log_perplexity"] == pytest.approx(-math.log(2) * sum(steps) / len(steps), abs=1e-4)
    assert f"log-perplexity of the references {report['log_perplexity']:.4f}" in done.stdout

    again = compare(*options)
    assert again.code == 1 and "found.json exists: give another --json, or --overwrite" in again.stderr


def test_mistakes(references, tmp_path):
    references.write_text("eins\n", encoding="utf-8")
    assert "has 1 lines, but the split valid 13 sentences" in compare("--references", references).stderr
    checkpoint = torch.load(trained_on_digits(), weights_only=False)
    checkpoint["cfg"]["task"]["_name"] = "translation"
    torch.save(checkpoint, tmp_path / "other.pt")
    assert (
        "was not trained as a GNMT of --task"
        in compare("--references", references, "--path", tmp_path / "other.pt").stderr
    )
    assert "sentencepeace" in compare("--references", references, "--post-process", "sentencepeace").stderr
    assert "--threads is 0, but must be at least 1" in compare("--references", references, "--threads", 0).stderr
    assert "--beam is 0, but must be at least 1" in compare("--references", references, "--beam", 5, 0).stderr
