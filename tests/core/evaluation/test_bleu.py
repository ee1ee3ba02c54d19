"""Tests BLEU and `gnmt score` against values worked out by hand and against sacreBLEU."""

import io
import math
import sys
from pathlib import Path
from typing import Callable

import pytest
from fairseq import scoring
from fairseq.data import Dictionary

from gnmt.commands import score
from gnmt.commands.command_line import run_module
from gnmt.evaluation.bleu import corpus_bleu, nvidia_bleu, report
from gnmt.errors import UserError
from scored_systems import write

ROOT = Path(__file__).resolve().parents[3]
SCORE = ROOT / "scripts" / "score.py"
DEFAULT = "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:"
NVIDIA = "nrefs:1|case:lc|eff:no|tok:intl|smooth:exp|version:"
# “ and ” are separate tokens in `intl`, and part of the word in 13a; two capitals differ as well.
HYPOTHESES = ["the dog sleeps in the red house", "Das “Haus” ist Rot"]
REFERENCES = ["the dog sleeps in the old house", "das “Haus” ist rot"]


@pytest.fixture
def score_script(capsys) -> Callable[..., str]:
    """Runs `gnmt score` in this process; returns its output."""

    def call(*arguments: str) -> str:
        run_module(score, "gnmt score", arguments)
        return capsys.readouterr().out

    return call


def test_precisions_by_hand():
    score, signature = corpus_bleu(HYPOTHESES[:1], REFERENCES[:1])
    # All tokens except "red" match, and the n-grams before it: 6 of 7, 4 of 6, 3 of 5, 2 of 4.
    assert (score.counts, score.totals, score.bp) == ([6, 4, 3, 2], [7, 6, 5, 4], 1.0)
    assert score.score == pytest.approx(100 * (6 / 7 * 4 / 6 * 3 / 5 * 2 / 4) ** (1 / 4))
    assert signature.startswith(DEFAULT)


def test_brevity_penalty_by_hand():
    score, _ = corpus_bleu(["a b c d e f"], ["a b c d e f g h"])
    # Every n-gram matches, but the output has 6 words and the reference 8.
    assert score.score == pytest.approx(100 * math.exp(1 - 8 / 6))


def test_counts_are_summed_over_the_corpus():
    score, _ = corpus_bleu(["a b c d", "x y z w v"], ["a b c d", "x y z u v"])
    # First sentence 4/4 3/3 2/2 1/1, second 4/5 2/4 1/3 0/2.
    assert (score.counts, score.totals) == ([8, 5, 3, 1], [9, 7, 5, 3])


def test_nvidia_convention_lowercases_and_splits_all_punctuation():
    cased, cased_signature = corpus_bleu(HYPOTHESES[1:], REFERENCES[1:])
    # 13a gives Das|“Haus”|ist|Rot: 2 of 4, 1 of 3; zero counts are smoothed to 1/2 of 1/2 and 1/4 of 1/1.
    assert cased.score == pytest.approx(100 * (2 / 4 * 1 / 3 * 1 / 4 * 1 / 4) ** (1 / 4))
    lowered, lowered_signature = nvidia_bleu(HYPOTHESES[1:], REFERENCES[1:])
    assert lowered.totals == [6, 5, 4, 3]  # das “ haus ” ist rot
    assert lowered.score == pytest.approx(100)
    assert cased_signature.startswith(DEFAULT) and lowered_signature.startswith(NVIDIA)


def test_lengths_must_agree_and_something_must_be_scored():
    with pytest.raises(UserError, match="1 hypotheses for 2 references"):
        corpus_bleu(["a"], ["a", "b"])
    with pytest.raises(UserError, match="no sentences"):
        nvidia_bleu([], [])


def test_scorer_is_found_by_name_and_reports_both():
    scorer = scoring.build_scorer("gnmt_bleu", Dictionary())
    for reference, hypothesis in zip(REFERENCES, HYPOTHESES):
        scorer.add_string(reference, hypothesis)
    assert scorer.result_string() == report(HYPOTHESES, REFERENCES)
    assert scorer.score() == corpus_bleu(HYPOTHESES, REFERENCES)[0].score


def test_scorer_leaves_unknown_words_as_they_are():
    scorer = scoring.build_scorer("gnmt_bleu", Dictionary())
    scorer.add_string("a <<unk>> b c d e", "a <unk> b c d e")
    assert scorer.score() == corpus_bleu(["a <unk> b c d e"], ["a <<unk>> b c d e"])[0].score < 100


def test_script_takes_the_best_of_each_sentence_from_a_log(tmp_path, score_script):
    # U+2028 ends a line in Python's str.splitlines, but not in fairseq's output. An empty translation is a line.
    hypotheses = [*HYPOTHESES, "a\u2028b", ""]
    references = [*REFERENCES, "a b", "c"]
    lines = ["INFO | fairseq_cli.generate | loading", "S-1\tThe “house” is red", f"T-1\t{REFERENCES[1]}"]
    for sentence in (1, 3, 0, 2):
        lines += [f"H-{sentence}\t-0.5\t▁x", f"D-{sentence}\t-0.5\t{hypotheses[sentence]}", f"P-{sentence}\t-0.5"]
        lines += [f"H-{sentence}\t-0.9\t▁y", f"D-{sentence}\t-0.9\tthe second best"]
    log = write(tmp_path / "generate.txt", [*lines, "Generate test with beam=5: BLEU4 = 1.00"])
    printed = score_script("--generate-log", log, "--references", write(tmp_path / "r", references))
    assert printed == report(hypotheses, references) + "\n"


def test_script_writes_the_translations_of_a_log_in_order(tmp_path, score_script):
    log = write(tmp_path / "generate.txt", ["D-1\t-0.5\tb", "D-0\t-0.5\ta", "D-0\t-0.9\tthe second best"])
    references = write(tmp_path / "r", ["a", "b"])
    score_script("--generate-log", log, "--references", references, "--output", str(tmp_path / "translated"))
    assert (tmp_path / "translated").read_text() == "a\nb\n"


def test_hypotheses_come_from_stdin_too(tmp_path, score_script, monkeypatch):
    text = "".join(f"{line}\n" for line in HYPOTHESES)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode("utf-8"))))
    printed = score_script("--hypotheses", "-", "--references", write(tmp_path / "r", REFERENCES))
    assert printed == report(HYPOTHESES, REFERENCES) + "\n"


LOG_OF_0_AND_2 = b"D-2\t-0.1\tx\nD-0\t-0.1\ty\n"


@pytest.mark.parametrize(
    "option, translation, references, words",
    [
        ("--hypotheses", b"a\nb\n", b"a\n", "2 lines for 1 references"),
        ("--hypotheses", b"a\n", b"", "r is empty"),
        ("--hypotheses", b"a\nsch\xf6n\n", b"a\nb\n", "not UTF-8: line 2"),
        ("--hypotheses", None, b"a\n", "t does not exist"),
        ("--generate-log", b"a\n", b"a\n", "no line D-"),
        ("--generate-log", b"D-" + b"9" * 5000 + b"\t-0.1\tx\n", b"a\n", "no line D-"),
        ("--generate-log", LOG_OF_0_AND_2, b"a\nb\nc\nd\n", "lacks 2 of 4 sentences, the first is D-1"),
        ("--generate-log", LOG_OF_0_AND_2, b"a\nb\n", "D-2, but 2 references end at D-1"),
    ],
)
def test_script_refuses_mistakes(tmp_path, score_script, option, translation, references, words):
    if translation is not None:
        (tmp_path / "t").write_bytes(translation)
    (tmp_path / "r").write_bytes(references)
    with pytest.raises(UserError, match=words):
        score_script(option, str(tmp_path / "t"), "--references", str(tmp_path / "r"))
