"""scripts/plot_attention.py and scripts/plot_training.py on what fairseq-train itself has written."""
import re
import subprocess
import sys

import numpy as np
import pytest
from commands import ROOT, Done, succeed
from tiny_corpora import MODEL, OBJECTIVE, TASK, digits, sentences, subword_model, trained_on_digits, trained_on_sentences

sys.path.insert(0, str(ROOT / "scripts"))

import plot_training  # noqa: E402
from plotting.training_log import INNER, TRAIN, read_log  # noqa: E402
from png import file_size  # noqa: E402


def plot_attention(*arguments, stdin: str = "") -> Done:
    command = [sys.executable, str(ROOT / "scripts" / "plot_attention.py"), *map(str, arguments)]
    done = subprocess.run(command, input=stdin, capture_output=True, encoding="utf-8")
    return Done(done.returncode, done.stdout, done.stderr)


# -- attention


def test_sentences_of_standard_input(tmp_path):
    """The translations are those of fairseq-interactive, and so are their scores, in another logarithm."""
    text = "the child sees the house today , number 3 .\n\nmy friend needs bread again , number 7 .\n"
    model = ["--path", trained_on_sentences()]
    done = plot_attention(*model, "--data", sentences(), "--sentencepiece-model", subword_model(),
                          "--words", "--output-dir", tmp_path / "maps", stdin=text)
    assert done.code == 0, done.text
    told = re.findall(r"^sentence (\d), score (\S+): ?(.*)$", done.stdout, re.MULTILINE)
    printed = succeed("interactive", sentences(), *TASK, *model, "--bpe", "sentencepiece", "--sentencepiece-model",
                      subword_model(), stdin=text)
    expected = re.findall(r"^D-(\d+)\t(\S+)\t(.*)$", printed, re.MULTILINE)
    assert [(number, translation) for number, _, translation in told] == [(n, t) for n, _, t in expected]
    scores, logarithms = ([float(score) for _, score, _ in found] for found in (told, expected))
    np.testing.assert_allclose(scores, np.multiply(logarithms, np.log(2)), atol=1e-3)  # three digits are printed
    widths, heights = zip(*(file_size(tmp_path / "maps" / f"attention-{number}.png") for number in range(3)))
    assert widths[1] < widths[2] and heights[1] < heights[2]  # an empty line is an end mark

    again = plot_attention(*model, "--data", sentences(), "--output-dir", tmp_path / "maps", stdin=text)
    assert again.code == 1 and "attention-0.png exists" in again.stderr and "Traceback" not in again.stderr


def test_sentences_of_data(tmp_path):
    """The model of the digits attends to the word that it translates: as many words at both sides."""
    model = ["--path", trained_on_digits(), "--data", digits(), "--split", "test"]
    page = tmp_path / "page.png"
    done = plot_attention(*model, "--ids", 3, 1, "--page", page)
    assert done.code == 0 and page.is_file(), done.text
    assert [line.split(",")[0] for line in done.stdout.splitlines()[:2]] == ["sentence 3", "sentence 1"]
    assert min(file_size(page)) > 200
    done = plot_attention(*model, "--ids", 99, "--page", tmp_path / "other.png")
    assert done.code == 1 and "--ids has 99, but test has the sentences 0 to 4" in done.stderr
    assert not (tmp_path / "other.png").exists()


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--split", "test", "--page", "x.png"], "--split and --ids go together"),
        (["--page", "x.png"], "no sentences on standard input"),
        (["--input", "none.txt", "--page", "x.png"], "none.txt does not exist"),
        (["--page", "x.jpg"], "must be called something.png"),
    ],
)
def test_mistakes(arguments, words, monkeypatch, tmp_path):
    import io
    from types import SimpleNamespace

    import plot_attention as script
    from fairseq_gnmt.errors import UserError

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["plot_attention.py", "--path", "none.pt", "--data", "none", *arguments])
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO()))
    with pytest.raises(UserError, match=words):
        script.main()
    assert not list(tmp_path.iterdir())


# -- training


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    """A training of three epochs of 10 updates that was resumed at 15: its --log-file, and what it printed."""
    folder = tmp_path_factory.mktemp("training")
    same = [digits(), *TASK, *MODEL, *OBJECTIVE, "--lr", "5e-3", "--batch-size", 30,
            "--required-batch-size-multiple", 1, "--log-interval", 5,
            "--log-file", folder / "file.log", "--save-dir", folder / "checkpoints", "--eval-bleu",
            "--eval-bleu-args", '{"beam": 1}']  # fmt: skip
    first = succeed("train", *same, "--log-format", "json", "--max-epoch", 2, "--save-interval-updates", 15)
    resumed = ["--restore-file", folder / "checkpoints" / "checkpoint_2_15.pt", "--max-epoch", 3]
    second = succeed("train", *same, "--log-format", "simple", *resumed)
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


def test_curves_of_a_training(logs, monkeypatch, capsys):
    output = logs / "curves.png"
    monkeypatch.setattr(sys, "argv", ["plot_training.py", str(logs / "file.log"), "--output", str(output)])
    plot_training.main()
    assert capsys.readouterr().out == f"{output}: file against updates\n"  # nothing is missing
    assert min(file_size(output)) > 500
