"""Tests cleaning of parallel text: each rule on both sides of its threshold, order, counts and options.

Expected values are written by hand.
"""

import json
from pathlib import Path
from typing import Optional

import pytest

from gnmt.corpora.cleaning import CleanOutputs, clean_corpus
from gnmt.corpora.cleaning_rules import CleaningRules, clean_pair, normalise_spaces
from gnmt.errors import UserError
from parallel_corpora import Corpus, write

REPOSITORY = Path(__file__).resolve().parents[3]


def words(count: int) -> str:
    return " ".join(["w"] * count)


@pytest.mark.parametrize(
    "source, target, rules, reason",
    [
        ("", "w", CleaningRules(), "empty"),
        ("w", "", CleaningRules(), "empty"),
        ("", "", CleaningRules(), "empty"),
        ("w", "w", CleaningRules(), None),
        (words(1), words(2), CleaningRules(min_length=2), "too_short"),
        (words(2), words(1), CleaningRules(min_length=2), "too_short"),
        (words(2), words(2), CleaningRules(min_length=2), None),
        (words(81), words(80), CleaningRules(), "too_long"),
        (words(80), words(81), CleaningRules(), "too_long"),
        (words(80), words(80), CleaningRules(), None),
        (words(19), words(2), CleaningRules(), "ratio"),  # 9.5
        (words(2), words(19), CleaningRules(), "ratio"),
        (words(18), words(2), CleaningRules(), None),  # 9 exactly
        (words(2), words(18), CleaningRules(), None),
        (words(4), words(3), CleaningRules(max_ratio=1), "ratio"),
        (words(3), words(3), CleaningRules(max_ratio=1), None),
        ("\u00ff", "w", CleaningRules(required_encoding="latin-1"), None),  # the last character of latin-1
        ("\u0100", "w", CleaningRules(required_encoding="latin-1"), "encoding"),  # the first character after latin-1
        ("w", "\u0100", CleaningRules(required_encoding="latin-1"), "encoding"),
        ("w", "\u0100", CleaningRules(), None),
        # two rules apply: the first of REASONS is counted
        ("", words(81), CleaningRules(), "empty"),
        (words(1), words(81), CleaningRules(min_length=2), "too_short"),
        (words(1), words(81), CleaningRules(), "too_long"),
        (words(1), words(10) + " \u0100", CleaningRules(required_encoding="latin-1"), "ratio"),
    ],
)
def test_clean_pair(source: str, target: str, rules: CleaningRules, reason: Optional[str]) -> None:
    assert clean_pair(source, target, rules) == reason


def test_white_space_and_control_characters_become_single_spaces() -> None:
    assert normalise_spaces("  a\t b\r") == "a b"
    assert normalise_spaces("a\u2028b\u00a0c\u3000d\x85e\x1cf\x00g\x7fh") == "a b c d e f g h"
    assert normalise_spaces("\r \u2003") == ""
    assert normalise_spaces("soft\u00adhyphen ﬁ ²") == "soft\u00adhyphen ﬁ ²"


@pytest.mark.parametrize(
    "bad, sentence",
    [
        (dict(min_length=0), "--min-length is 0"),
        (dict(max_length=-1), "--max-length -1 is below --min-length 1"),
        (dict(min_length=5, max_length=4), "--max-length 4 is below --min-length 5"),
        (dict(max_ratio=0.99), "--max-ratio is 0.99"),
        (dict(max_ratio=-2.0), "--max-ratio is -2.0"),
        (dict(max_ratio=float("nan")), "--max-ratio is nan"),
        (dict(max_ratio=float("inf")), "--max-ratio is inf"),
        (dict(required_encoding="undefined"), "--require-encoding undefined is not a text encoding"),
        (dict(required_encoding="idna"), "--require-encoding idna is not a text encoding"),
        (dict(required_encoding="latin-l"), "--require-encoding latin-l is not a text encoding"),
        (dict(required_encoding="base64"), "--require-encoding base64 is not a text encoding"),
    ],
)
def test_invalid_rules_are_refused(bad: dict, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        CleaningRules(**bad)


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return Corpus(tmp_path)


def test_corpus_is_cleaned_and_counted(corpus: Corpus) -> None:
    report = corpus.clean("out/train")
    assert (corpus.folder / "out/train.en").read_text(encoding="utf-8").splitlines() == corpus.clean_en
    assert (corpus.folder / "out/train.de").read_text(encoding="utf-8").splitlines() == corpus.clean_de
    written = json.loads((corpus.folder / "out/train.cleaning.json").read_text())
    assert (written["read"], written["kept"], written["dropped"]) == (11, 4, corpus.counts)
    assert (report.read, report.kept, dict(report.dropped)) == (11, 4, corpus.counts)


def test_number_of_jobs_does_not_change_a_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gnmt.files.lines.LINES_PER_CHUNK", 7)  # many chunks; a duplicate is in another chunk
    numbers = [number % 230 for number in range(300)]
    write(tmp_path / "s", [words(number % 90) + f" {number}" for number in numbers])
    write(tmp_path / "t", [f"{number} t" for number in numbers])
    reports = {}
    for jobs in (1, 2):
        outputs = CleanOutputs.with_prefix(str(tmp_path / f"jobs{jobs}"), "en", "de")
        reports[jobs] = clean_corpus(
            [tmp_path / "s"],
            [tmp_path / "t"],
            outputs,
            CleaningRules(),
            drop_duplicates=True,
            jobs=jobs,
            overwrite=False,
        )
    for ending in ("en", "de", "cleaning.json"):
        assert (tmp_path / f"jobs1.{ending}").read_bytes() == (tmp_path / f"jobs2.{ending}").read_bytes()
    assert reports[1] == reports[2]
    report = reports[2]
    assert report.read == 300 == report.kept + sum(report.dropped.values())
    # w^k n has k + 1 tokens, its translation 2: kept if 1 <= k + 1 <= 18, so k <= 17
    kept = [number for number in range(230) if number % 90 <= 17]
    assert [int(line.split()[-1]) for line in (tmp_path / "jobs2.en").read_text().splitlines()] == kept
    assert [int(line.split()[0]) for line in (tmp_path / "jobs2.de").read_text().splitlines()] == kept
    assert report.dropped["duplicate"] == sum(number % 90 <= 17 for number in range(70))


def test_duplicates_are_kept_by_default(corpus: Corpus) -> None:
    outputs = CleanOutputs.with_prefix(str(corpus.folder / "all"), "en", "de")
    report = clean_corpus(
        corpus.sources, corpus.targets, outputs, CleaningRules(), drop_duplicates=False, jobs=1, overwrite=False
    )
    assert (report.kept, report.dropped["duplicate"]) == (7, 0)  # 4: two duplicates and the Chinese pair
    assert outputs.source.read_text(encoding="utf-8").splitlines() == [
        "a b", "a b", "x y", "\u4e2d", "q", "a b", "last",
    ]  # fmt: skip


def test_existing_files_are_kept_by_default(corpus: Corpus) -> None:
    corpus.clean("out")
    (corpus.folder / "out.en").write_text("mine")
    with pytest.raises(UserError, match="out.en exists"):
        corpus.clean("out")
    assert (corpus.folder / "out.en").read_text() == "mine"
    corpus.clean("out", overwrite=True)
    assert (corpus.folder / "out.en").read_text(encoding="utf-8").splitlines() == corpus.clean_en


def test_refused_corpora_leave_no_files(corpus: Corpus) -> None:
    before = sorted(corpus.folder.iterdir())

    def refused(sentence: str, jobs: int = 1) -> None:
        with pytest.raises(UserError, match=sentence):
            corpus.clean("out", jobs)
        assert sorted(corpus.folder.iterdir()) == before

    refused("--jobs is -1", jobs=-1)
    target = corpus.targets.pop()
    refused("--source has 2 files and --target has 1")
    corpus.targets.append(target)
    write(target, corpus.more_de[:-1])
    refused("two words.en.gz has 3 lines but .*two words.de.gz has 2", jobs=2)
    target.unlink()
    before.remove(target)
    refused("two words.de.gz does not exist")
    corpus.sources, corpus.targets = corpus.sources[:1], corpus.targets[:1]
    write(corpus.sources[0], [""] * 8)
    refused("None of the 8 pairs can be kept .*'empty': 8")
