"""Tests translation from Python in a new process. Expected translations come from fairseq-generate."""

import json
import re
import subprocess
import sys

import pytest
from commands import ROOT, succeed
from tiny_corpora import TASK, sentences, subword_model, trained_on_sentences

SCRIPT = r"""
import io, json, logging, sys
from fairseq_gnmt.models.gnmt import GNMTModel
folder, name, data, subwords = sys.argv[1:]
model = GNMTModel.from_pretrained(folder, name, data, bpe="sentencepiece", sentencepiece_model=subwords)
texts = json.load(sys.stdin)
outputs = {str(penalty): model.translate(texts, beam=5, coverage_penalty=penalty) for penalty in (0.1, 30.0)}
tokens = [model.encode(text) for text in texts]
outputs["scores"] = {penalty: [float(nbest[0]["score"]) for nbest in model.generate(tokens, coverage_penalty=penalty)]
                     for penalty in (0.0, 0.1)}
first, second = texts
outputs["odd"] = model.translate([first.replace(" ", "\n", 1), "", "\ufeff" + second + "\r\n", " \n ", "a\ud800b"], beam=5)
model.max_positions = (model.encode(first).numel(), 1024)
longer = " ".join([first, second])
outputs["too long"] = model.translate([second, longer, first], beam=5)
outputs["no text"] = model.translate([])
logging.basicConfig(level="INFO", format="%(message)s", stream=(log := io.StringIO()), force=True)
model.translate(first, print_alignment="soft", verbose=True)
outputs["log"] = log.getvalue()
try:
    model.translate(texts, coverage_penalti=0.1)
except ValueError as error:
    outputs["misspelt"] = str(error)
print(json.dumps(outputs))
"""
TEXTS = ["the child sees the house today , number 3 .", "my friend needs bread again , number 7 ."]


@pytest.fixture(scope="module")
def translations(tmp_path_factory) -> dict:
    checkpoint = trained_on_sentences()
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, checkpoint.parent, checkpoint.name, sentences(), subword_model()],
        cwd=ROOT,
        input=json.dumps(TEXTS),
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    return {**json.loads(done.stdout.splitlines()[-1]), "stderr": done.stderr}


@pytest.mark.parametrize("penalty", [0.1, 30.0])
def test_answers_equal_the_command(translations, penalty):
    printed = succeed(
        "interactive",
        sentences(),
        *TASK,
        "--path",
        trained_on_sentences(),
        "--bpe",
        "sentencepiece",
        "--sentencepiece-model",
        subword_model(),
        "--coverage-penalty",
        penalty,
        stdin="".join(f"{text}\n" for text in TEXTS),
    )
    assert translations[str(penalty)] == re.findall(r"^D-\d+\t\S+\t(.*)$", printed, re.MULTILINE)


def test_coverage_penalty_counts(translations):
    without, with_penalty = translations["scores"]["0.0"], translations["scores"]["0.1"]
    assert all(score > penalised for score, penalised in zip(without, with_penalty))


def test_misspelt_option(translations):
    assert "Unknown search options ['coverage_penalti']" in translations["misspelt"]


def test_every_text_is_one_line(translations):
    first, empty, second, blank, surrogate = translations["odd"]
    assert [first, second] == translations["0.1"] and empty == blank and isinstance(surrogate, str)


def test_a_text_that_is_too_long_costs_its_own_translation(translations):
    second, longer, first = translations["too long"]
    assert [first, second] == translations["0.1"] and longer == ""
    assert re.search(
        r"sentence 1 has \d+ tokens, but --max-source-positions and --max-tokens allow", translations["stderr"]
    )
    assert translations["no text"] == []


def test_soft_alignments_are_logged(translations):
    kinds = [line.partition("\t")[0] for line in translations["log"].splitlines() if re.match("[SHPA]\t", line)]
    assert kinds == list("SHPA")
    steps, alignment = (re.search(rf"^{kind}\t(.*)$", translations["log"], re.MULTILINE)[1].split() for kind in "PA")
    rows = [[float(weight) for weight in row.split(",")] for row in alignment]
    assert len(rows) == len(steps) and all(sum(row) == pytest.approx(1, abs=1e-4) for row in rows)
