"""Tests confidence intervals and paired tests against enumeration and against sacreBLEU, and their output in `gnmt
score`.
"""

import itertools
import json
from pathlib import Path

import pytest

from gnmt.commands import score
from gnmt.commands.command_line import run_module
from gnmt.commands.system_names import system_names
from gnmt.errors import UserError
from gnmt.evaluation.gleu import mean_gleu
from gnmt.evaluation.metrics import METRICS
from gnmt.evaluation.significance import corpus_scores, paired_scores
from scored_systems import GOOD, POOR, REFERENCES, SYSTEMS, write


@pytest.fixture
def run_score(tmp_path, capsys):
    """Runs `gnmt score` on both systems in this process; returns its output."""
    files = [write(tmp_path / name, lines) for name, lines in SYSTEMS]
    references = write(tmp_path / "ref", REFERENCES)

    def call(*options, hypotheses=files) -> str:
        run_module(score, "gnmt score", ["--references", references, "--hypotheses", *hypotheses, *options])
        return capsys.readouterr().out

    return call


def test_gleu_as_a_metric_is_the_mean_of_sentences():
    metric = corpus_scores(SYSTEMS, REFERENCES, ["gleu"])["gleu"]
    assert [system.score for system in metric.systems] == [
        pytest.approx(100 * mean_gleu(lines, REFERENCES)) for _, lines in SYSTEMS
    ]
    assert metric.signature.startswith("nrefs:1|case:mixed|tok:13a|mean:sentences|version:")


def test_gleu_takes_the_best_of_several_references():
    # a b against a c: the match is a, of 3 n-grams; against a b: all n-grams.
    assert METRICS["gleu"]().corpus_score(["a b"], [["a c"], ["a b"]]).score == 100


def test_ter_by_hand():
    """Two deletions for 7 reference words and one substitution for 4 are 3 edits for 11 words."""
    scores = corpus_scores([("x", ["a b c d e", "a b c x"])], ["a b c d e f g", "a b c d"], ["ter"])
    assert scores["ter"].systems[0].score == pytest.approx(100 * 3 / 11)


def test_randomisation_agrees_with_all_exchanges():
    """GLEU is averaged over sentences, so all 2^8 exchanges of hypotheses can be enumerated."""
    differences = [
        100 * (mean_gleu([good], [reference]) - mean_gleu([poor], [reference])) / len(REFERENCES)
        for good, poor, reference in zip(GOOD, POOR, REFERENCES)
    ]
    exchanged = [abs(sum(sign * x for sign, x in zip(signs, differences))) for signs in
                 itertools.product((1, -1), repeat=len(REFERENCES))]  # fmt: skip
    exact = sum(value > abs(sum(differences)) + 1e-9 for value in exchanged) / len(exchanged)
    systems = paired_scores(SYSTEMS, REFERENCES, ["gleu"], "ar")["gleu"].systems
    assert systems[0].p_value is None
    assert systems[1].score - systems[0].score == pytest.approx(sum(differences))
    # 10,000 trials with probability 0.05 have a standard deviation of 0.002. Rounding decides how ties count.
    ties = sum(abs(value - abs(sum(differences))) < 1e-9 for value in exchanged) / len(exchanged)
    assert exact - 0.01 < systems[1].p_value < exact + ties + 0.01


def test_randomisation_has_intervals_if_they_are_asked_for():
    without = paired_scores(SYSTEMS, REFERENCES, ["gleu"], "ar", trials=10)["gleu"].systems
    systems = paired_scores(SYSTEMS, REFERENCES, ["gleu"], "ar", trials=10, resamples=1000)["gleu"].systems
    expected = corpus_scores(SYSTEMS[:1], REFERENCES, ["gleu"], resamples=1000)["gleu"].systems
    assert [system.ci for system in without] == [None, None] and systems[1].ci > 0
    assert (systems[0].mean, systems[0].ci) == pytest.approx((expected[0].mean, expected[0].ci))


@pytest.mark.parametrize("test", ["bs", "ar"])
def test_equal_systems_do_not_differ(test):
    comparison = paired_scores([("a", GOOD), ("b", GOOD)], REFERENCES, ["bleu"], test)["bleu"]
    assert comparison.systems[1].p_value == 1.0


def test_both_conventions_of_bleu_are_tested_side_by_side():
    comparisons = paired_scores(SYSTEMS, REFERENCES, ["bleu", "nvidia_bleu"], "bs")
    assert "case:mixed" in comparisons["bleu"].signature and "case:lc" in comparisons["nvidia_bleu"].signature


def test_lengths_must_agree():
    with pytest.raises(UserError, match="b has 1 hypotheses for 8 references"):
        paired_scores([("a", GOOD), ("b", GOOD[:1])], REFERENCES, ["bleu"], "bs")
    with pytest.raises(UserError, match="only one"):
        paired_scores([("a", GOOD)], REFERENCES, ["bleu"], "bs")
    with pytest.raises(UserError, match="no sentences"):
        corpus_scores([("a", [])], [], ["bleu"])


# -- the command


def test_command_prints_a_table_and_signatures(run_score, tmp_path):
    printed = run_score("--paired", "ar", "--trials", "200", "--metrics", "chrf", "gleu", "--json", str(tmp_path / "j"))
    lines = printed.splitlines()
    report = json.loads((tmp_path / "j").read_text(encoding="utf-8"))
    assert lines[0] == "| system | chrF2 | GLEU |"
    poor, good = (system["scores"] for system in report["systems"])
    assert lines[2] == f"| poor | {poor['chrf']['score']:.2f} | {poor['gleu']['score']:.2f} |"
    assert lines[3].startswith(f"| good | {good['chrf']['score']:.2f} p = {good['chrf']['p_value']:.4f}")
    assert lines[-2:] == [f"chrF2: {report['signatures']['chrf']}", f"GLEU: {report['signatures']['gleu']}"]
    assert "ar:200|" in lines[-1] and (report["baseline"], report["test"]) == ("poor", "ar")


def test_command_shows_all_metrics_and_intervals(run_score):
    lines = run_score("--confidence", "--names", "A", "B").splitlines()
    assert lines[0] == "| system | BLEU | BLEU (lc, intl) | chrF2 | TER | GLEU |"
    assert lines[2].startswith("| A |") and lines[2].count("±") == 5 and "p =" not in lines[2]


def test_systems_are_named_by_their_files():
    assert system_names([Path("x/a"), Path("y/b")], None) == ["a", "b"]
    assert system_names([Path("x/a"), Path("y/a")], None) == ["x/a", "y/a"]


def test_star_marks_small_probabilities():
    from gnmt.evaluation.significance import MetricScore

    assert score.cell(MetricScore(31.204)) == "31.20"
    assert score.cell(MetricScore(31.204, 31.18, 1.2, 0.0123)) == "31.20 (31.18 ± 1.20) p = 0.0123*"
    assert score.cell(MetricScore(31.204, None, None, 0.05)) == "31.20 p = 0.0500"


def test_command_knows_every_metric():
    assert tuple(METRICS) == score.METRICS


@pytest.mark.parametrize(
    "options, words",
    [
        (["--names", "one"], "--names are one, but each of the 2 systems"),
        (["--output", "x"], "--output is for one system, but there are 2"),
        (["--trials", "10"], "--trials needs --paired"),
        (["--trials", "1", "--paired", "bs"], "--trials is 1, but must be at least 2"),
        (["--json", "/"], "is a folder"),
    ],
)
def test_command_refuses_mistakes(run_score, options, words):
    with pytest.raises(UserError, match=words):
        run_score(*options)


def test_command_refuses_a_test_of_one_system_and_files_given_twice(run_score, tmp_path):
    with pytest.raises(UserError, match="compares systems, but there is one"):
        run_score("--paired", "bs", hypotheses=[str(tmp_path / "good")])
    with pytest.raises(UserError, match="is given twice"):
        run_score(hypotheses=[str(tmp_path / "good")] * 2)


def test_json_of_gnmt_translate_is_read_as_its_texts(tmp_path, capsys):
    write(tmp_path / "references", REFERENCES)
    write(tmp_path / "text", GOOD)
    write(tmp_path / "new.json", [json.dumps({"text": text, "sentences": []}) for text in GOOD])
    printed = []
    for name in ("text", "new.json"):
        arguments = ["--hypotheses", str(tmp_path / name), "--references", str(tmp_path / "references")]
        run_module(score, "gnmt score", arguments)
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]
    write(tmp_path / "new.json", GOOD)
    with pytest.raises(UserError, match="new.json, line 1 is not what `gnmt translate --output json` prints"):
        run_module(score, "gnmt score", arguments)
