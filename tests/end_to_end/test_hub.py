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
answers = {str(penalty): model.translate(texts, beam=5, coverage_penalty=penalty) for penalty in (0.1, 30.0)}
tokens = [model.encode(text) for text in texts]
answers["scores"] = {penalty: [float(nbest[0]["score"]) for nbest in model.generate(tokens, coverage_penalty=penalty)]
                     for penalty in (0.0, 0.1)}
one, other = texts
answers["odd"] = model.translate([one.replace(" ", "\n", 1), "", "\ufeff" + other + "\r\n", " \n ", "a\ud800b"], beam=5)
model.max_positions = (model.encode(one).numel(), 1024)
longer = " ".join([one, other])
answers["too long"] = model.translate([other, longer, one], beam=5)
answers["no text"] = model.translate([])
logging.basicConfig(level="INFO", format="%(message)s", stream=(log := io.StringIO()), force=True)
model.translate(one, print_alignment="soft", verbose=True)
answers["log"] = log.getvalue()
try:
    model.translate(texts, coverage_penalti=0.1)
except ValueError as error:
    answers["misspelt"] = str(error)
print(json.dumps(answers))
"""
TEXTS = ["the child sees the house today , number 3 .", "my friend needs bread again , number 7 ."]


@pytest.fixture(scope="module")
def answers(tmp_path_factory) -> dict:
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
def test_answers_equal_the_command(answers, penalty):
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
    assert answers[str(penalty)] == re.findall(r"^D-\d+\t\S+\t(.*)$", printed, re.MULTILINE)


def test_coverage_penalty_counts(answers):
    without, with_penalty = answers["scores"]["0.0"], answers["scores"]["0.1"]
    assert all(score > penalised for score, penalised in zip(without, with_penalty))


def test_misspelt_option(answers):
    assert "Unknown search options ['coverage_penalti']" in answers["misspelt"]


def test_every_text_is_one_line(answers):
    first, empty, second, blank, surrogate = answers["odd"]
    assert [first, second] == answers["0.1"] and empty == blank and isinstance(surrogate, str)


def test_a_text_that_is_too_long_costs_its_own_translation(answers):
    second, longer, first = answers["too long"]
    assert [first, second] == answers["0.1"] and longer == ""
    assert re.search(r"sentence 1 has \d+ tokens, but --max-source-positions and --max-tokens allow", answers["stderr"])
    assert answers["no text"] == []


def test_soft_alignments_are_logged(answers):
    kinds = [line.partition("\t")[0] for line in answers["log"].splitlines() if re.match("[SHPA]\t", line)]
    assert kinds == list("SHPA")
    steps, alignment = (re.search(rf"^{kind}\t(.*)$", answers["log"], re.MULTILINE)[1].split() for kind in "PA")
    rows = [[float(weight) for weight in row.split(",")] for row in alignment]
    assert len(rows) == len(steps) and all(sum(row) == pytest.approx(1, abs=1e-4) for row in rows)
