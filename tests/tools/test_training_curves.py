"""Tests training curves: records read from logs written by hand, and the values that are drawn."""

import sys
from pathlib import Path

import pytest
from png import file_size

from gnmt.commands import plot as plot_command
from gnmt.commands.command_line import run_module
from gnmt.commands.plot import names_of
from gnmt.errors import UserError
from gnmt.plots.pictures import DOTS_PER_INCH, check_pictures
from gnmt.plots.training_curves import LOSS, PANEL_INCHES, PANELS, Run, curves, draw, missing
from gnmt.training.training_log import INNER, TRAIN, read_log

# Printed by fairseq; a --log-file lacks the date, the level and the logger name of each line.
SIMPLE = """\
2026-01-02 03:04:05 | INFO | fairseq_cli.train | {'_name': None, 'common': {'log_format': 'simple'}}
2026-01-02 03:04:06 | INFO | fairseq.trainer | begin training epoch 1
2026-01-02 03:04:07 | INFO | train_inner | epoch 001:     10 / 20 loss=9, nll_loss=8, ppl=256, wps=0, num_updates=10, lr=0.001
2026-01-02 03:04:08 | INFO | train_inner | epoch 001:     20 / 20 loss=8, nll_loss=7, ppl=128, wps=500, num_updates=20, lr=0.002
2026-01-02 03:04:09 | INFO | valid | epoch 001 | valid on 'valid' subset | loss 8.5 | nll_loss 6 | ppl 64 | bleu 12.5 | wps 90 | num_updates 20
2026-01-02 03:04:09 | INFO | train | epoch 001 | loss 8.6 | nll_loss 7.5 | ppl 181 | wps 400 | num_updates 20 | lr 0.002
"""
JSON = """\
2026-01-02 03:04:07 | INFO | train_inner | {"epoch": 1, "update": 0.5, "loss": "9", "nll_loss": "8", "ppl": "256", "wps": "0", "num_updates": "10", "lr": "0.001"}
2026-01-02 03:04:08 | INFO | train_inner | {"epoch": 1, "update": 1.0, "loss": "8", "nll_loss": "7", "ppl": "128", "wps": "500", "num_updates": "20", "lr": "0.002"}
2026-01-02 03:04:09 | INFO | valid | {"epoch": 1, "valid_loss": "8.5", "valid_nll_loss": "6", "valid_ppl": "64", "valid_bleu": "12.5", "valid_wps": "90", "valid_num_updates": "20"}
2026-01-02 03:04:09 | INFO | train | {"epoch": 1, "train_loss": "8.6", "train_nll_loss": "7.5", "train_ppl": "181", "train_wps": "400", "train_num_updates": "20", "train_lr": "0.002"}
"""


def without_prefix(log):
    return "".join(line.split(" | ", 3)[3] for line in log.splitlines(keepends=True))


@pytest.fixture
def read(tmp_path):
    def read_text(text):
        path = tmp_path / "train.log"
        path.write_text(text, encoding="utf-8")
        return read_log(path)

    return read_text


def inner(updates, epoch=1, size=20, loss=1.0):
    return f"epoch {epoch:03d}:  {updates - (epoch - 1) * size:5d} / {size} nll_loss={loss:g}, num_updates={updates}\n"


def summary(updates, epoch, loss=1.0):
    return f"epoch {epoch:03d} | nll_loss {loss:g} | num_updates {updates}\n"


# -- reading


@pytest.mark.parametrize("text", [SIMPLE, JSON, without_prefix(SIMPLE), without_prefix(JSON)])
def test_both_formats_give_equal_records(read, text):
    records = read(text)
    assert [(record.kind, record.updates, record.epochs) for record in records] == [
        (INNER, 10, 0.5), (INNER, 20, 1.0), ("valid", 20, 1.0), (TRAIN, 20, 1.0),
    ]  # fmt: skip
    first, second, valid, train = (record.stats for record in records)
    assert (first["nll_loss"], second["nll_loss"], valid["nll_loss"], train["nll_loss"]) == (8, 7, 6, 7.5)
    assert (second["lr"], second["wps"], valid["bleu"], train["ppl"]) == (0.002, 500, 12.5, 181)


def test_repeated_updates_of_a_resumed_training_count_once(read):
    """Training reached update 40, was resumed at 25 and reached 50; updates 30 and 40 are the repeated ones."""
    before = "".join(inner(n, epoch=1 + (n > 20), loss=1) for n in (10, 20, 30, 40))
    after = "".join(inner(n, epoch=2 + (n > 40), loss=2) for n in (30, 40, 50))
    records = read(before + after)
    assert [(record.updates, record.stats["nll_loss"]) for record in records] == [
        (10, 1), (20, 1), (30, 2), (40, 2), (50, 2),
    ]  # fmt: skip


def test_lines_that_fairseq_writes_often_count_once(read):
    assert [record.updates for record in read(inner(10) * 3 + summary(20, 1) * 2)] == [10, 20]


def test_validation_within_an_epoch_is_placed_there(read):
    """20 updates for each epoch: update 30 is epoch 1.5, and an epoch that stops at 50 is half done."""
    valid = "epoch 002 | valid on 'valid' subset | nll_loss 1 | num_updates 30\n"
    records = read(inner(10) + inner(20) + valid + inner(40, epoch=2) + summary(50, 3))
    assert [record.epochs for record in records] == [0.5, 1.0, 1.5, 2.0, 2.5]


def test_a_record_of_update_0_places_nothing(read):
    records = read(inner(0) + summary(0, epoch=1) + inner(10) + summary(10, epoch=1))
    assert [(record.kind, record.epochs) for record in records] == [(INNER, 0), (TRAIN, 0), (INNER, 0.5), (TRAIN, 0.5)]


def test_without_records_between_a_summary_ends_its_epoch(read):
    assert [record.epochs for record in read(summary(20, 1) + summary(40, 2))] == [1.0, 2.0]


def test_cut_lines_and_foreign_numbers_are_passed_over(read):
    cut = JSON.splitlines()[1][:-40]
    records = read(inner(10) + "epoch 001:     11 / 20 nll_loss=nan, note=tensor([1, 2]), num_updates=11\n" + cut)
    assert [record.updates for record in records] == [10, 11]
    assert records[1].stats["nll_loss"] != records[1].stats["nll_loss"]  # NaN


@pytest.mark.parametrize(
    "line",
    [
        "epoch 001: 1 / 0 loss=1, num_updates=5\n",
        "epoch " + "9" * 5000 + ": 1 / 20 loss=1, num_updates=5\n",
        "epoch 001: 1 / 20 loss=1, num_updates=nan\n",
        "epoch 001: 1 / 20 loss=1, num_updates=inf\n",
        '{"epoch": 1, "update": "x", "num_updates": "3", "loss": "1"}\n',
        '{"epoch": 1, "update": 1, "num_updates": ' + "9" * 400 + "}\n",
        '{"epoch": null, "train_num_updates": "3", "train_loss": "1"}\n',
        '{"epoch": ' + "[" * 100_000 + "\n",
    ],
)
def test_impossible_numbers_are_passed_over(read, line):
    assert [record.updates for record in read(inner(10) + line)] == [10]


def test_loss_of_cross_entropy_is_its_nll(read):
    (record,) = read("epoch 001 | loss 5 | ppl 32 | num_updates 20\n")
    assert record.stats["nll_loss"] == 5


@pytest.mark.parametrize(
    "content, words",
    [
        (b"hello\n", "has no figures of fairseq-train"),
        (b"", "is empty"),
        (b"\xff\xfeh\x00", "is not UTF-8"),
    ],
)
def test_other_files_are_refused(tmp_path, content, words):
    (tmp_path / "x.log").write_bytes(content)
    with pytest.raises(UserError, match=words):
        read_log(tmp_path / "x.log")
    with pytest.raises(UserError, match="does not exist"):
        read_log(tmp_path / "none.log")


# -- drawn values


def test_curves(read):
    run = Run("a", read(SIMPLE))
    training, validation = curves(run, LOSS["nll"], "updates")
    assert (training.label, training.x, training.y) == ("a, training", [10, 20], [8, 7])
    assert (validation.label, validation.x, validation.y) == ("a, valid", [20], [6])
    assert [curve.x for curve in curves(run, LOSS["ppl"], "epochs")] == [[0.5, 1.0], [1.0]]
    bleu, rate, speed = (curves(run, panel, "updates") for panel in PANELS)
    assert [curve.y for curve in bleu] == [[12.5]]
    assert [curve.y for curve in rate] == [[0.001, 0.002]] and [curve.y for curve in speed] == [[0, 500]]


def test_epochs_replace_missing_updates(read):
    (curve,) = curves(Run("a", read(summary(20, 1, loss=3) + summary(40, 2, loss=2))), LOSS["nll"], "updates")
    assert (curve.x, curve.y) == ([20, 40], [3, 2])


def test_missing_panels_are_left_out_and_reported(read):
    run = Run("a", read(inner(10)))
    messages = missing(run, [LOSS["nll"], *PANELS], "updates")
    assert [sentence.split(", which")[0] for sentence in messages] == [
        "a has no BLEU (validation)", "a has no learning rate", "a has no target tokens per second",
    ]  # fmt: skip
    figure = draw([run], [LOSS["nll"], *PANELS], "updates")
    assert [axes.get_title() for axes in figure.axes] == [LOSS["nll"].title]
    assert figure.get_size_inches().tolist() == list(PANEL_INCHES)
    with pytest.raises(UserError, match="There are no statistics to draw for a"):
        draw([run], PANELS, "updates")


def test_runs_lie_over_each_other(read):
    runs = [Run("a", read(SIMPLE)), Run("b", read(inner(10, loss=5)))]
    figure = draw(runs, [LOSS["nll"], *PANELS], "updates")
    loss, bleu, rate, speed = figure.axes
    assert [(line.get_xdata().tolist(), line.get_ydata().tolist()) for line in loss.lines] == [
        ([10, 20], [8, 7]), ([20], [6]), ([10], [5]),
    ]  # fmt: skip
    assert loss.lines[0].get_color() == loss.lines[1].get_color() != loss.lines[2].get_color()
    assert [len(axes.lines) for axes in (bleu, rate, speed)] == [1, 1, 1]
    assert [text.get_text() for text in figure.legends[0].texts] == ["a, training", "a, valid", "b, training"]
    assert figure.get_size_inches().tolist() == [2 * side for side in PANEL_INCHES]


# -- the command


def plot(*arguments):
    run_module(plot_command, "gnmt plot", ["training", *map(str, arguments)])


def test_script(tmp_path, capsys):
    logs = [tmp_path / name / "train.log" for name in ("one", "two")]
    for path, text in zip(logs, (SIMPLE, without_prefix(JSON))):
        path.parent.mkdir()
        path.write_text(text, encoding="utf-8")
    output = tmp_path / "curves.png"
    plot(*logs, "--output", output)
    assert capsys.readouterr().out == f"{output}: curves of one, two, by updates\n"
    assert file_size(output) == tuple(int(2 * side * DOTS_PER_INCH) for side in PANEL_INCHES)
    first = output.read_bytes()
    with pytest.raises(UserError, match="curves.png exists: .*--overwrite"):
        plot(logs[0], "--output", output, "--against", "epochs")
    assert output.read_bytes() == first
    plot(logs[0], "--output", output, "--against", "epochs", "--loss", "ppl", "--overwrite")
    assert output.read_bytes() != first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curves.png", "one", "two"]


def test_names_of_runs():
    paths = [Path("a/train.log"), Path("b/train.log")]
    assert names_of([Path("x/a.log"), Path("x/b.log")], None) == ["a", "b"]
    assert names_of(paths, None) == ["a", "b"]
    assert names_of([*paths, Path("c/a/train.log")], None) == ["a/train.log", "b/train.log", "c/a/train.log"]
    assert names_of(paths, ["small", "large"]) == ["small", "large"]
    for names in (["one"], ["same", "same"]):
        with pytest.raises(UserError, match="each of the 2 logs needs a distinct name"):
            names_of(paths, names)


def test_mistakes_leave_no_files(monkeypatch, tmp_path):
    (tmp_path / "x.log").write_text("hello\n")
    for arguments, words in (
        ([tmp_path / "x.log", "--output", tmp_path / "x.png"], "has no figures"),
        ([tmp_path / "x.log", "--output", tmp_path / "x.pdf"], "must end in .png"),
        ([tmp_path / "x.log", tmp_path / "x.log", "--output", tmp_path / "x.png"], "given twice"),
    ):
        with pytest.raises(UserError, match=words):
            plot(*arguments)
    assert [path.name for path in tmp_path.iterdir()] == ["x.log"]


def test_a_missing_package_is_named(monkeypatch):
    check_pictures([Path("x.png")])
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # simulates a missing package
    with pytest.raises(UserError, match=r"run pip install -e '.\[plots\]' in the checkout"):
        check_pictures([Path("x.png")])
