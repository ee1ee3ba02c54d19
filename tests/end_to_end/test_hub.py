"""Translating from Python, in a new process that has loaded nothing before."""
import json
import re
import subprocess
import sys

import pytest
from commands import ROOT, succeed
from tiny_corpora import TASK, sentences, subword_model, trained_on_sentences

SCRIPT = """
import json, sys
from fairseq_gnmt.models.gnmt import GNMTModel
folder, name, data, subwords = sys.argv[1:]
model = GNMTModel.from_pretrained(folder, name, data, bpe="sentencepiece", sentencepiece_model=subwords)
texts = json.load(sys.stdin)
answers = {str(penalty): model.translate(texts, beam=5, coverage_penalty=penalty) for penalty in (0.1, 30.0)}
tokens = [model.encode(text) for text in texts]
answers["scores"] = {penalty: [float(nbest[0]["score"]) for nbest in model.generate(tokens, coverage_penalty=penalty)]
                     for penalty in (0.0, 0.1)}
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
        cwd=ROOT, input=json.dumps(TEXTS), capture_output=True, encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("penalty", [0.1, 30.0])
def test_answers_are_those_of_the_command(answers, penalty):
    printed = succeed("interactive", sentences(), *TASK, "--path", trained_on_sentences(), "--bpe", "sentencepiece",
                      "--sentencepiece-model", subword_model(), "--coverage-penalty", penalty,
                      stdin="".join(f"{text}\n" for text in TEXTS))
    assert answers[str(penalty)] == re.findall(r"^D-\d+\t\S+\t(.*)$", printed, re.MULTILINE)


def test_coverage_penalty_counts(answers):
    without, with_penalty = answers["scores"]["0.0"], answers["scores"]["0.1"]
    assert all(one > other for one, other in zip(without, with_penalty))


def test_misspelt_option(answers):
    assert "Unknown search options ['coverage_penalti']" in answers["misspelt"]
