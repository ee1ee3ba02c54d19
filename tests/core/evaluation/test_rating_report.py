"""Tests statistics of ratings against values worked out by hand and published ones, and the report and exports of a
small campaign.
"""

import csv
import json
import sys

import numpy as np
import pytest

from gnmt.commands import rate
from gnmt.commands.command_line import run_module
from gnmt.commands.rating_tables import tables
from gnmt.errors import UserError
from gnmt.evaluation.rating.campaign import (
    CONTROL,
    CONTROL_DAMAGED,
    CONTROL_REFERENCE,
    RATED,
    REPEAT,
    Campaign,
    Item,
    ItemKey,
    Key,
    Rater,
    write_campaign,
)
from gnmt.evaluation.rating.report import report
from gnmt.evaluation.rating.statistics import krippendorff_alpha, mean_with_interval, sign_test
from gnmt.evaluation.rating.storage import Rating, RatingLog
from png import file_size

# -- agreement


def test_alpha_of_the_published_example():
    """Example of Krippendorff (2011): four observers, 12 units, missing values; alpha of interval data is 0.849."""
    observers = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
        [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
    ]
    units = [[value for value in unit if value is not None] for unit in zip(*observers)]
    assert krippendorff_alpha(units) == pytest.approx(0.849, abs=0.0005)


def test_alpha_by_hand():
    # Squared differences within units: 0 and 1. Between 1, 1, 2, 3: 0, 1, 4, 1, 4, 1, a mean of 11/6.
    assert krippendorff_alpha([[1, 1], [2, 3], [6]]) == pytest.approx(1 - (1 / 2) / (11 / 6))
    assert krippendorff_alpha([[1, 1], [3, 3]]) == 1
    # Complete disagreement on two values. Within units: 4. Between 1, 3, 3, 1: 4, 4, 0, 0, 4, 4.
    assert krippendorff_alpha([[1, 3], [3, 1]]) == pytest.approx(1 - 4 / (16 / 6))
    assert krippendorff_alpha([[1], [2]]) is None and krippendorff_alpha([[2, 2], [2, 2]]) is None


def test_alpha_by_the_definition():
    """The slow twin loops over all pairs of values."""
    generator = np.random.default_rng(1)
    units = [generator.integers(7, size=generator.integers(1, 5)).tolist() for _ in range(30)]
    paired = [unit for unit in units if len(unit) > 1]
    values = sum(paired, [])
    observed = sum(
        sum((a - b) ** 2 for i, a in enumerate(unit) for j, b in enumerate(unit) if i != j) / (len(unit) - 1)
        for unit in paired
    ) / len(values)
    expected = sum((a - b) ** 2 for a in values for b in values) / (len(values) * (len(values) - 1))
    assert krippendorff_alpha(units) == pytest.approx(1 - observed / expected)


# -- intervals and tests


def test_interval_of_a_mean():
    """With many values the interval approaches mean +- 1.96 standard errors."""
    values = np.random.default_rng(2).normal(3, 1, size=400)
    mean, low, high = mean_with_interval(values)
    error = 1.96 * values.std() / 20
    assert mean == pytest.approx(values.mean())
    assert (low, high) == pytest.approx((mean - error, mean + error), abs=0.1 * error)
    assert mean_with_interval([4]) == (4, 4, 4) and mean_with_interval(values) == (mean, low, high)


def test_sign_test_by_hand():
    # 5 of 5: 2 * 1/32; 4 of 5: 2 * (1 + 5)/32; 1 of 2 and 0 of 0: p = 1.
    assert sign_test(5, 0) == pytest.approx(2 / 32) and sign_test(1, 4) == pytest.approx(12 / 32)
    assert sign_test(1, 1) == sign_test(0, 0) == 1


# -- a campaign of three sentences


ITEMS = [
    Item("a", "source a", ["a of base", "a of new"], None),
    Item("b", "source b", ["b of both"], None),
    Item("c", "source c", ["c of base", "c of new"], None),
    Item("d", "source a", ["a of base", "a of new"], "a"),
    Item("e", "source e", ["good", "bad"], None),
]
CAMPAIGN = Campaign(1, "en", "de", ITEMS)
APART = [["base"], ["new"]]
KEY = Key(
    ["base", "new"],
    {
        "a": ItemKey(RATED, 1, None, APART),
        "b": ItemKey(RATED, 2, None, [["base", "new"]]),
        "c": ItemKey(RATED, 3, None, APART),
        "d": ItemKey(REPEAT, 1, "a", APART),
        "e": ItemKey(CONTROL, 9, None, [[CONTROL_REFERENCE], [CONTROL_DAMAGED]]),
    },
)
# rater, item, output, score, seconds. Ann rates all, Bob leaves c incomplete and fails the control.
VOTES = [
    ("ann", "a", 0, 2, 3), ("ann", "a", 1, 1, 4), ("ann", "b", 0, 3, 2), ("ann", "c", 0, 1, 1), ("ann", "c", 1, 5, 6),
    ("ann", "d", 0, 2, 1), ("ann", "d", 1, 5, 5), ("ann", "e", 1, 0, 1), ("ann", "e", 0, 6, 3),
    ("ann", "a", 1, 4, 60),  # changed later, which does not change the time
    ("bob", "a", 1, 6, 2), ("bob", "a", 0, 2, 8), ("bob", "b", 0, 5, 4), ("bob", "c", 0, 0, 9),
    ("bob", "e", 0, 4, 1), ("bob", "e", 1, 4, 6),
]  # fmt: skip
RATINGS = [Rating(rater, item, output, 0, score, 1000 * seconds, "") for rater, item, output, score, seconds in VOTES]


@pytest.fixture(scope="module")
def results():
    return report(CAMPAIGN, KEY, RATINGS)


def test_means_are_over_items(results):
    # base: a (2 + 2)/2, b (3 + 5)/2, c 1 by Ann alone. new: a (4 + 6)/2, b 4, c 5.
    base, new = results["systems"]
    assert (base["mean"], new["mean"]) == pytest.approx(((2 + 4 + 1) / 3, (5 + 4 + 5) / 3))
    assert base["items"] == results["items"] == results["rated_items"] == 3
    assert base["low"] <= base["mean"] <= base["high"]


def test_differences_are_paired(results):
    (row,) = results["differences"]
    assert row["mean"] == pytest.approx((3 + 0 + 4) / 3) and row["system"] == "new" and row["baseline"] == "base"
    assert (row["wins"], row["ties"], row["losses"], row["sign_test"]) == (2, 1, 0, 0.5)


def test_agreement_uses_outputs_with_two_scores(results):
    assert results["agreement"] == pytest.approx(krippendorff_alpha([[2, 2], [4, 6], [3, 5]]))


def test_statistics_of_each_rater(results):
    ann, bob = results["raters"]
    assert (ann["complete"], bob["complete"], ann["items"]) == (5, 3, 5)
    assert ann["mean"] == pytest.approx((2 + 4 + 3 + 1 + 5) / 5) and bob["mean"] == pytest.approx((2 + 6 + 5) / 3)
    assert ann["median_seconds"] == 4 and bob["median_seconds"] == 6  # medians of 4, 2, 6, 5, 3 and of 8, 4, 6
    assert (ann["controls"], ann["failed_controls"], bob["failed_controls"]) == (1, 0, 1)
    # Ann's repeated items: 2 and 2, 5 and 4. Bob has none.
    assert (ann["repeated_equal"], ann["repeated_within_1"], bob["repeated_equal"]) == (0.5, 1.0, None)


def test_histogram_counts_ratings(results):
    assert results["histogram"] == {"base": [0, 1, 2, 1, 0, 1, 0], "new": [0, 0, 0, 1, 1, 2, 1]}


def test_tables_show_the_results(results):
    printed = "\n".join(tables(results))
    assert "| bob | 3 of 5 | 4.33 |" in printed and "| 1 of 1 | - | - |" in printed
    assert "| base | 2.33 [" in printed and "interval): 0." in printed
    assert "3 of 3 sentences have been rated" in printed


def test_a_campaign_without_ratings_has_a_report():
    results = report(CAMPAIGN, KEY, [])
    assert tables(results) == ["None of the 3 sentences has been rated yet, so there are no results."]
    assert results["differences"][0]["sign_test"] is None


def test_a_begun_campaign_without_a_complete_sentence_shows_its_raters():
    sentence, raters = tables(report(CAMPAIGN, KEY, RATINGS[:1]))
    assert sentence.startswith("None of the 3 sentences") and "| 0 of 5 |" in raters and "p (sign test)" not in raters


# -- the command


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "campaign"
    path.mkdir()
    write_campaign(path, CAMPAIGN, KEY, [Rater("ann", "x" * 20), Rater("bob", "y" * 20)])
    log = RatingLog(path / "ratings.jsonl")
    for rating in RATINGS:
        log.append(rating)
    log.close()
    return path


def test_report_writes_json_and_the_histogram(folder, tmp_path, capsys, results):
    options = ["--json", str(tmp_path / "r.json"), "--picture", str(tmp_path / "h.png")]
    run_module(rate, "gnmt rate", ["report", str(folder), *options])
    printed = capsys.readouterr().out
    assert all(table in printed for table in tables(results))
    assert json.loads((tmp_path / "r.json").read_text(encoding="utf-8")) == results
    assert min(file_size(tmp_path / "h.png")) > 500


def test_a_key_that_is_kept_elsewhere_must_be_put_back(folder):
    (folder / "key.json").unlink()
    with pytest.raises(UserError, match="key.json is missing, which names the systems: put the file back"):
        run_module(rate, "gnmt rate", ["report", str(folder)])


def test_serving_without_the_extra_names_it(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "gnmt.evaluation.rating.server", raising=False)
    with pytest.raises(UserError, match=r"needs the package uvicorn: run pip install -e '\.\[serve\]'"):
        run_module(rate, "gnmt rate", ["serve", str(folder)])


def test_csv_has_a_row_for_each_system_and_last_rating(folder, tmp_path):
    run_module(rate, "gnmt rate", ["export", str(folder), "--format", "csv", "--output", str(tmp_path / "r.csv")])
    with open(tmp_path / "r.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 15 + 2  # the output of both systems was rated twice, and one rating was changed
    scores = {(row["rater"], row["item"], row["system"]): int(row["score"]) for row in rows}
    assert scores["ann", "a", "new"] == 4 and scores["bob", "b", "base"] == scores["bob", "b", "new"] == 5
    assert {row["kind"] for row in rows} == {RATED, REPEAT, CONTROL} and rows[0]["line"] == "1"


def test_pearmut_gets_a_task_for_each_rater(folder, tmp_path):
    run_module(rate, "gnmt rate", ["export", str(folder), "--format", "pearmut", "--output", str(tmp_path / "p.json")])
    content = json.loads((tmp_path / "p.json").read_text(encoding="utf-8"))
    assert content["info"]["users"] == ["ann", "bob"] and content["info"]["assignment"] == "task-based"
    assert content["info"]["sliders"] == [{"name": "Quality", "min": 0, "max": 6, "step": 1}]
    items = {document[0]["item_id"]: document[0] for document in content["data"][0]}
    assert items["b"]["tgt"] == {"base": "b of both", "new": "b of both"} and items["b"]["src"] == "source b"
    assert items["e"]["tgt"] == {"control: reference": "good", "control: reference with words dropped": "bad"}
