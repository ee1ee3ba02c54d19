"""Tests `gnmt train` on a prepared folder, and the complete way from compressed text to a score.

Expected states come from fairseq-train and averaging.
"""

import json
import lzma
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import List

import pytest
import torch
from commands import ROOT, in_a_fork
from corpus_mirror import sentence_pairs
from model_folders import make_model_folder
from processes import wait_until
from tiny_corpora import scratch, write

from gnmt.__main__ import COMMANDS
from gnmt.checkpoints.averaging import mean_of
from gnmt.commands import export, prepare, train
from gnmt.commands.command_line import parser_of
from gnmt.errors import UserError

TINY = ["--arch", "gnmt_v2_tiny", "--threads", 1, "--epochs", 4]
PAIRS = {"train": sentence_pairs(100, 1), "valid": sentence_pairs(5, 2), "test": sentence_pairs(5, 3)}


@pytest.fixture(autouse=True)
def fairseq_in_a_fork(monkeypatch):
    monkeypatch.setattr(prepare, "run_fairseq_quietly", in_a_fork)
    monkeypatch.setattr(train, "run_fairseq", in_a_fork)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def gnmt(command, *arguments) -> None:
    parser = parser_of(command, "gnmt")
    if getattr(command, "PASSES_OPTIONS_THROUGH", False):
        command.run(*parser.parse_known_args(list(map(str, arguments))))
    else:
        command.run(parser.parse_args(list(map(str, arguments))))


def names_of(text: Path) -> list:
    """Returns the options of `gnmt prepare` for the corpora of a folder."""
    return [part for split in PAIRS for part in (f"--{split}", text / split)]


@pytest.fixture
def folder(tmp_path) -> Path:
    """Fixture: a copy of a prepared folder."""
    original = scratch() / "prepared"
    if not original.exists():
        text = write(scratch() / "to prepare", PAIRS)
        gnmt(
            prepare,
            *names_of(text),
            "--source-lang",
            "en",
            "--target-lang",
            "de",
            "--vocab-size",
            120,
            "--jobs",
            1,
            "--embedding-size",
            32,
            "--output",
            original,
        )
    return shutil.copytree(original, tmp_path / "prepared")


def never(*arguments, **options):
    raise AssertionError("this training has ended")


def test_a_training_ends_with_an_average_and_is_not_repeated(folder, monkeypatch, capsys):
    gnmt(train, folder, *TINY)
    printed = capsys.readouterr().out
    checkpoints = folder / "checkpoints"
    assert printed.startswith("OMP_NUM_THREADS=1 fairseq-train ")
    path = checkpoints / "averaged.pt"
    check = f"--check {folder}/raw/test.en {folder}/raw/test.de"
    assert printed.endswith(f"trained: {path}; next: gnmt export {path} {folder}/model {check}\n")
    shown = [line for line in printed.splitlines() if line.startswith(("log", "embeddings", "update", "epoch"))]
    assert shown[0] == f"log: {checkpoints / 'train.log'}" and shown[1].startswith("embeddings of ")
    assert re.fullmatch(r"epoch 4 \(valid\): perplexity \S+, BLEU \S+", shown[-1])
    assert "INFO" not in printed and "GNMTEncoder" not in printed
    averaged = torch.load(path, weights_only=True)
    expected = mean_of([checkpoints / f"checkpoint{epoch}.pt" for epoch in (2, 3, 4)])
    assert all(torch.equal(value, averaged["model"][name]) for name, value in expected["model"].items())
    log = (checkpoints / "train.log").read_text(encoding="utf-8")
    assert "num_updates 8" in log and "are initialised from" in log  # 4 epochs of 2 updates; initial embeddings
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    monkeypatch.setattr(train, "run_fairseq", never)
    gnmt(train, folder, *TINY)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    with pytest.raises(UserError, match=r"has a finished training run with other options \(--lr 3e-3, now 1e-3\)"):
        gnmt(train, folder, *TINY, "--lr", "1e-3")


def test_averaging_that_was_interrupted_is_done_without_training(folder, monkeypatch):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(train, "average_checkpoints", interrupt)
        gnmt(train, folder, *TINY)
    monkeypatch.setattr(train, "run_fairseq", never)
    gnmt(train, folder, *TINY)
    assert (folder / "checkpoints" / "averaged.pt").exists()


def test_a_training_without_whole_epochs_ends_with_its_last_checkpoint(folder, capsys):
    elsewhere = folder.parent / "elsewhere"
    gnmt(train, folder, *TINY, f"--save-dir={elsewhere}", "--max-update", 1, "--no-epoch-checkpoints")
    check = f"--check {folder}/raw/test.en {folder}/raw/test.de"
    expected = f"next: gnmt export {elsewhere / 'checkpoint_last.pt'} {folder}/model {check}\n"
    assert capsys.readouterr().out.endswith(expected)
    assert not (folder / "checkpoints").exists()


def test_a_training_that_fails_is_not_finished(folder):
    with pytest.raises(SystemExit):
        gnmt(train, folder, *TINY, "--lr", "nan")
    assert not (folder / "checkpoints" / "finished.json").exists()


def test_fine_tuning_begins_with_the_weights_of_a_model(folder, tmp_path, capsys):
    gnmt(train, folder, *TINY)
    model, tuned = tmp_path / "model", tmp_path / "tuned"
    gnmt(export, folder / "checkpoints" / "averaged.pt", model)
    gnmt(prepare, *names_of(write(tmp_path / "new", PAIRS)), "--model", model, "--jobs", 1, "--output", tuned)
    words = [line.split(" ")[0] for name in (folder, tuned) for line in (name / "dict.txt").read_text().splitlines()]
    assert words[: len(words) // 2] == words[len(words) // 2 :]
    capsys.readouterr()
    gnmt(train, tuned, "--threads", 1, "--epochs", 1, "--dry-run")
    assert " --lr 0.0003 " in capsys.readouterr().out  # a tenth of the recipe's
    gnmt(train, tuned, "--threads", 1, "--epochs", 1, "--lr", "1e-12")
    before = torch.load(folder / "checkpoints" / "averaged.pt", weights_only=True)["model"]
    after = torch.load(tuned / "checkpoints" / "averaged.pt", weights_only=True)["model"]
    assert before.keys() == after.keys()
    assert all(torch.allclose(value, after[name], atol=1e-6) for name, value in before.items())


@pytest.mark.parametrize("option", [["--vocab-size", 90], ["--source-lang", "fr"], ["--segmentation", "mixed"]])
def test_options_that_contradict_the_model_are_refused(option, tmp_path):
    model = make_model_folder(tmp_path / "model")
    with pytest.raises(UserError, match=f"{option[0]} {option[1]} contradicts --model"):
        gnmt(prepare, *names_of(tmp_path / "text"), "--model", model, *option, "--output", tmp_path / "out")


def test_a_model_with_two_vocabularies_is_refused(tmp_path):
    model = make_model_folder(tmp_path / "model")
    (model / "vocab.json").write_text('{"source": ["a"], "target": ["b"]}')
    with pytest.raises(UserError, match="a vocabulary for each language .*: use `gnmt import`, and fairseq-preprocess"):
        gnmt(prepare, *names_of(tmp_path / "text"), "--model", model, "--output", tmp_path / "out")


@pytest.mark.parametrize("kind", ["spaces", ["words"], None])
def test_a_model_with_another_tokenizer_is_refused(kind, tmp_path):
    model = make_model_folder(tmp_path / "model")
    (model / "tokenizer.json").write_text(json.dumps({"type": kind}))
    with pytest.raises(UserError, match="needs a joint vocabulary and one of sentencepiece, words, mixed_word_char"):
        gnmt(prepare, *names_of(tmp_path / "text"), "--model", model, "--output", tmp_path / "out")


# -- commands as users run them


def command(*arguments) -> List[str]:
    return [sys.executable, "-m", "gnmt", *map(str, arguments)]


def succeed(*arguments, directory: Path) -> str:
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": ""}
    arguments = arguments if arguments[0] == sys.executable else command(*arguments)
    done = subprocess.run(arguments, cwd=directory, env=environment, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_training_that_was_killed_goes_on(folder):
    options = [
        folder,
        *TINY,
        "--epochs",
        400,
        "--save-interval-updates",
        1,
        "--keep-interval-updates",
        1,
        "--no-epoch-checkpoints",
        "--disable-validation",
        "--best-checkpoint-metric",
        "loss",
    ]
    last = folder / "checkpoints" / "checkpoint_last.pt"
    arguments = command("train", *options)
    with subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.DEVNULL, start_new_session=True) as process:
        wait_until(lambda: last.exists() or process.poll() is not None)
        os.killpg(process.pid, signal.SIGKILL)
    assert last.exists() and not (folder / "checkpoints" / "finished.json").exists()
    gnmt(train, *options[:-2], "--best-checkpoint-metric", "loss", "--max-update", 30)
    log = (folder / "checkpoints" / "train.log").read_text(encoding="utf-8")
    assert "Loaded checkpoint" in log and (folder / "checkpoints" / "finished.json").exists()


FRENCH = dict(zip("der die das ein eine einen alte".split(), "le la le un une un vieux".split()))


def french_pairs(count: int, seed: int) -> list:
    """Returns English sentences and translations into an artificial language called French."""
    pairs = sentence_pairs(count, seed)
    return [(en, " ".join(FRENCH.get(word, word) for word in other.split()).replace("ü", "é")) for en, other in pairs]


@pytest.mark.slow
def test_from_packed_text_to_a_score_in_other_languages(tmp_path):
    for split, count in (("train", 300), ("dev", 6), ("test", 6)):
        pairs = french_pairs(count, len(split))
        if split == "dev":
            (tmp_path / "dev.tsv").write_text("".join(f"{en}\t{fr}\n" for en, fr in pairs), encoding="utf-8")
        for language, lines in zip(("en", "fr"), zip(*pairs)):
            if split != "dev":
                content = lzma.compress("".join(f"{line}\n" for line in lines).encode("utf-8"))
                (tmp_path / f"{split}.{language}.xz").write_bytes(content)
    corpora = ["--train", "train", "--valid", "dev", "--test", "test", "--source-lang", "en", "--target-lang", "fr"]
    succeed("prepare", *corpora, "--vocab-size", 120, "--embedding-size", 32, "--output", "corpus", directory=tmp_path)
    printed = succeed("train", "corpus", "--max-update", 40, "--arch", "gnmt_v2_tiny", directory=tmp_path)
    done, _, following = printed.splitlines()[-1].partition("; next: gnmt ")
    assert done == "trained: corpus/checkpoints/averaged.pt"
    following = shlex.split(following)
    assert following[:3] == ["export", "corpus/checkpoints/averaged.pt", "corpus/model"]
    succeed(*following, directory=tmp_path)
    translated = succeed("translate", "corpus/model", "corpus/raw/test.en", directory=tmp_path)
    assert translated.count("\n") == 6 and translated.strip()
    score = ["score"] if "score" in COMMANDS else [sys.executable, str(ROOT / "scripts" / "score.py")]
    (tmp_path / "translated.fr").write_text(translated, encoding="utf-8")
    report = succeed(*score, "--hypotheses", "translated.fr", "--references", "corpus/raw/test.fr", directory=tmp_path)
    assert "BLEU" in report
