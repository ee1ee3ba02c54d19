"""Tests scripts/plot_attention.py and scripts/plot_training.py on output of fairseq-train.

Expected values come from fairseq-interactive and the log.
"""

import io
import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from commands import ROOT, script, succeed
from tiny_corpora import (
    MODEL,
    OBJECTIVE,
    TASK,
    digits,
    sentences,
    subword_model,
    trained_on_digits,
    trained_on_sentences,
)

sys.path.insert(0, str(ROOT / "scripts"))

import plot_attention  # noqa: E402
from gnmt.errors import UserError  # noqa: E402
from gnmt.training.training_log import INNER, TRAIN, read_log  # noqa: E402
from png import file_size, png_size  # noqa: E402


@pytest.fixture
def plot(monkeypatch, capsys):
    """Runs plot_attention.py in this process; returns its output."""

    def run(*arguments, stdin: str = "") -> str:
        monkeypatch.setattr(sys, "argv", ["plot_attention.py", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(stdin.encode("utf-8"))))
        plot_attention.main()
        return capsys.readouterr().out

    return run


# -- attention


TEXT = "the child sees the house today , number 3 .\n\nmy friend needs bread again , number 7 .\n"


def test_sentences_of_standard_input(tmp_path):
    """Translations and scores equal fairseq-interactive's, apart from the base of the logarithm."""
    model = ["--path", trained_on_sentences(), "--sentencepiece-model", subword_model()]
    output = ["--words", "--output-dir", tmp_path / "maps"]
    done = script("plot_attention.py", "--data", sentences(), *model, *output, stdin=TEXT)
    assert done.code == 0 and "findfont" not in done.stderr, done.stderr
    drawn = re.findall(r"^sentence (\d), score (\S+): ?(.*)$", done.stdout, re.MULTILINE)
    printed = succeed("interactive", sentences(), *TASK, *model, "--bpe", "sentencepiece", stdin=TEXT)
    expected = re.findall(r"^D-(\d+)\t(\S+)\t(.*)$", printed, re.MULTILINE)
    assert [(number, translation) for number, _, translation in drawn] == [(n, t) for n, _, t in expected]
    scores, logarithms = ([float(score) for _, score, _ in rows] for rows in (drawn, expected))
    np.testing.assert_allclose(scores, np.multiply(logarithms, np.log(2)), atol=1e-3)  # three digits are printed
    widths, heights = zip(*(file_size(tmp_path / "maps" / f"attention-{number}.png") for number in range(3)))
    assert widths[1] < widths[2] and heights[1] < heights[2]  # an empty line is EOS


def test_sentences_of_data(plot, tmp_path):
    page = tmp_path / "page.png"
    model = ["--path", trained_on_digits(), "--data", digits(), "--split", "test"]
    printed = plot(*model, "--ids", 3, 1, "--page", page)
    assert [line.split(",")[0] for line in printed.splitlines()[:2]] == ["sentence 3", "sentence 1"]
    assert min(file_size(page)) > 200
    first = page.read_bytes()
    with pytest.raises(UserError, match="page.png exists: .*--overwrite"):
        plot(*model, "--ids", 1, "--page", page)
    assert page.read_bytes() == first
    plot(*model, "--ids", 1, "--page", page, "--overwrite")
    assert file_size(page)[1] < png_size(first)[1]
    with pytest.raises(UserError, match="--ids has 99, but test has the sentences 0 to 4"):
        plot(*model, "--ids", 99, "--page", tmp_path / "other.png")
    assert not (tmp_path / "other.png").exists()


def test_attention_is_at_the_translated_word():
    """The digits corpus is translated word by word, so the largest weights are on the diagonal."""
    text = {"sentencepiece_model": None, "bpe_codes": None, "mixed_word_char_model": None}
    options = SimpleNamespace(path=trained_on_digits(), data=digits(), **text)
    model = plot_attention.load_model(options)
    chosen = plot_attention.sentences_of_text(model, ["one two Name5 three"])
    (attention,) = plot_attention.translate(model, chosen, beam=5)
    assert attention.source == ["one", "two", "Name5", "three", "</s>"]  # source words are shown, known or unknown
    assert attention.target == ["eins", "zwei", "<unk>", "drei", "</s>"]
    assert attention.weights[:-1].argmax(axis=1).tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(attention.weights.sum(axis=1), 1.0, atol=1e-5)  # float32


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--split", "test", "--page", "x.png"], "--split and --ids go together"),
        (["--split", "test", "--ids", 1, 1, "--page", "x.png"], "--ids has a number twice"),
        (["--page", "x.png"], "no sentences on standard input"),
        (["--input", "none.txt", "--page", "x.png"], "none.txt does not exist"),
        (["--page", "x.jpg"], "must end in .png"),
        (["--beam", 0, "--page", "x.png"], "--beam is 0"),
    ],
)
def test_mistakes(plot, arguments, words, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=words):
        plot("--path", "none.pt", "--data", "none", *arguments)
    with pytest.raises(UserError, match="none.pt does not exist"):
        plot("--path", "none.pt", "--data", "none", "--page", "x.png", stdin="a\n")
    assert not list(tmp_path.iterdir())


# -- training


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    """Fixture: --log-file and output of a training of three epochs with 10 updates, resumed at update 15."""
    folder = tmp_path_factory.mktemp("training")
    common = [digits(), *TASK, *MODEL, *OBJECTIVE, "--lr", "5e-3", "--batch-size", 30,
            "--required-batch-size-multiple", 1, "--log-interval", 5,
            "--log-file", folder / "file.log", "--save-dir", folder / "checkpoints", "--eval-bleu",
            "--eval-bleu-args", '{"beam": 1}']  # fmt: skip
    first = succeed("train", *common, "--log-format", "json", "--max-epoch", 2, "--save-interval-updates", 15)
    resumed = ["--restore-file", folder / "checkpoints" / "checkpoint_2_15.pt", "--max-epoch", 3]
    second = succeed("train", *common, "--log-format", "simple", *resumed)
    (folder / "printed.log").write_text(first + second, encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", ["file.log", "printed.log"])
def test_log_of_a_resumed_training(logs, name):
    records = read_log(logs / name)
    places = {kind: [(r.updates, r.epochs) for r in records if r.kind == kind] for kind in (INNER, TRAIN, "valid")}
    assert places == {
        INNER: [(5, 0.5), (10, 1.0), (15, 1.5), (20, 2.0), (25, 2.5), (30, 3.0)],
        TRAIN: [(10, 1.0), (20, 2.0), (30, 3.0)],
        "valid": [(10, 1.0), (15, 1.5), (20, 2.0), (30, 3.0)],
    }
    assert all({"nll_loss", "ppl", "bleu"} <= record.stats.keys() for record in records if record.kind == "valid")
    assert all({"nll_loss", "lr", "wps"} <= record.stats.keys() for record in records if record.kind != "valid")


def test_curves_of_a_training(logs):
    """Runs as a command, which prints no lines of libraries."""
    output = logs / "curves.png"
    done = script("plot_training.py", logs / "file.log", "--output", output)
    assert done == (0, f"{output}: curves of file, by updates\n", "")
    assert min(file_size(output)) > 500
