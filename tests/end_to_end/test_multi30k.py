"""Tests the data stages of examples/multi30k on a few captions. Expected files are written by hand."""

import gzip
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from gnmt.commands import download
from gnmt.errors import UserError
from corpus_mirror import gz, sentence_pairs, serve

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "multi30k"
FOLDER = "/multi30k/dataset/master/data/task1/raw/"  # folder in the addresses of the real files
COUNTS = {"train": 300, "val": 7, "test_2016_flickr": 5}


def miniature() -> dict:
    files = {}
    for seed, (name, count) in enumerate(COUNTS.items()):
        for language, sentences in zip(("en", "de"), zip(*sentence_pairs(count, seed))):
            files[f"{name}.{language}.gz"] = gz("".join(f"{sentence}\n" for sentence in sentences).encode("utf-8"))
    return files


FILES = miniature()


@pytest.fixture
def local_copy(tmp_path) -> Path:
    """Returns a folder with the files and their checksums."""
    directory = tmp_path / "local copy"
    directory.mkdir()
    for name, content in FILES.items():
        (directory / name).write_bytes(content)
    sums = (f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in FILES.items())
    (directory / "sums").write_text("".join(sums))
    return directory


def stage(script: str, *arguments, directory: Path) -> subprocess.CompletedProcess:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    command = ["bash", str(EXAMPLE / script), *map(str, arguments)]
    return subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True)


def prepare(*arguments, directory: Path) -> subprocess.CompletedProcess:
    return stage("prepare.sh", *arguments, directory=directory)


def line_count(path: Path) -> int:
    return path.read_bytes().count(b"\n")


def test_a_file_that_is_not_the_published_one(local_copy, tmp_path):
    done = prepare("--data", local_copy, "--output", "out", directory=tmp_path)
    assert done.returncode == 1 and f"{local_copy / 'train.en.gz'} is bad: its sha256 is" in done.stderr
    assert "expected d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f" in done.stderr


def test_a_missing_file(local_copy, tmp_path):
    (local_copy / "val.de.gz").unlink()
    done = prepare("--data", local_copy, "--output", "out", directory=tmp_path)
    assert done.returncode == 1 and f"{local_copy} has no val.de.gz" in done.stderr and "download" in done.stderr


def test_mistyped_options(tmp_path):
    for arguments, error_message in (
        (["--data"], "--data needs a value"),
        (["--vocab", "9"], "unknown option --vocab"),
    ):
        done = prepare(*arguments, directory=tmp_path)
        assert done.returncode == 1 and error_message in done.stderr


def test_mistyped_segmentation(tmp_path):
    command = ["bash", str(ROOT / "examples" / "text_to_binary.sh"), "--output", "out", "--train", "train"]
    for arguments, error_message in (
        (
            ["--segmentation", "syllables"],
            "--segmentation is 'syllables', but must be subwords, word, character or mixed",
        ),
        (
            ["--segmentation", "word", "--input-sentence-size", "9"],
            "--input-sentence-size is for subwords and characters",
        ),
    ):
        done = subprocess.run([*command, *arguments], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 1 and error_message in done.stderr


@pytest.mark.parametrize("split", ["valid", "test"])
def test_sides_of_different_length(split, tmp_path):
    raw = tmp_path / "out" / "raw"
    raw.mkdir(parents=True)
    for name in ("train", "valid", "test"):
        for language in ("en", "de"):
            (raw / f"{name}.{language}").write_text("one\n" * (3 if (name, language) == (split, "de") else 2))
    command = ["bash", str(ROOT / "examples" / "text_to_binary.sh"), "--output", "out", "--train", "train"]
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        [*command, "--vocab-size", "9"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert f"out/raw/{split}.en has 2 lines but out/raw/{split}.de has 3" in done.stderr
    assert not (tmp_path / "out" / "unfinished").exists()


@pytest.mark.parametrize("mirror", ["", "http://[::1", "http://", "http://host:port", "ftp://host"])
def test_mirrors_that_are_no_addresses(mirror, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", ["download.py", "--output", str(tmp_path), "--mirror", mirror])
    with pytest.raises(UserError, match="is not an http"):
        download.main([], "", "")


@pytest.mark.slow  # many commands, each of which imports torch
def test_from_a_mirror_to_the_binarised_corpus(local_copy, tmp_path):
    with serve({FOLDER + name: content for name, content in FILES.items()}) as mirror:
        source = ("--mirror", mirror.address, "--checksums", local_copy / "sums")
        done = prepare(*source, "--output", "out", "--vocab-size", 120, "--jobs", 2, directory=tmp_path)
    assert done.returncode == 0, done.stderr
    output = tmp_path / "out"
    for split, published in (("train", "train"), ("valid", "val"), ("test", "test_2016_flickr")):
        for language in ("en", "de"):
            text = gzip.decompress(FILES[f"{published}.{language}.gz"])
            assert (output / "raw" / f"{split}.{language}").read_bytes() == text
            assert line_count(output / "encoded" / f"{split}.{language}") == COUNTS[published]
            assert (output / "bin" / f"{split}.en-de.{language}.bin").exists()
    assert (output / "subwords.model").exists()
    assert (output / "embeddings.txt").read_text(encoding="utf-8").split("\n", 1)[0].endswith(" 256")

    files = [path for path in output.rglob("*") if path.name != ".lock"]  # the lock names its last holder
    before = {path: path.stat().st_mtime_ns for path in files}
    # the server is stopped, so nothing can be downloaded
    done = prepare("--output", "out", "--vocab-size", 120, directory=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {path: path.stat().st_mtime_ns for path in files} == before
    assert {path for path in output.rglob("*") if path.name != ".lock"} == set(files)


@pytest.mark.slow  # many commands, each of which imports torch
@pytest.mark.parametrize(
    "segmentation, size, first_word",
    [
        ("word", 60, ["▁the"]),
        ("mixed", 200, ["▁the"]),
        ("character", 200, ["▁", "t", "h", "e"]),
    ],
)
def test_other_segmentations(local_copy, tmp_path, segmentation, size, first_word):
    source = ("--data", local_copy, "--checksums", local_copy / "sums", "--jobs", 2)
    options = ("--output", "out", "--segmentation", segmentation, "--vocab-size", size)
    done = prepare(*source, *options, directory=tmp_path)
    assert done.returncode == 0, done.stderr
    output = tmp_path / "out"
    # rounded up to a multiple of 8 with fairseq's four tokens
    assert line_count(output / "bin" / "dict.en.txt") <= size + 4
    tokens = [line.split(" ") for line in (output / "encoded" / "train.en").read_text(encoding="utf-8").splitlines()]
    assert any(line[: len(first_word)] == first_word for line in tokens)
    raw_text = output / "bin" / "test.en-de.en"
    assert raw_text.exists() == (segmentation == "word")
    assert segmentation != "word" or raw_text.read_bytes() == (output / "encoded" / "test.en").read_bytes()

    done = prepare("--output", "out", "--vocab-size", size, directory=tmp_path)  # as subwords now
    assert done.returncode == 1 and f"segmentation={segmentation}" in done.stderr and "--overwrite" in done.stderr


@pytest.mark.slow  # many commands, each of which imports torch
def test_training_refinement_and_evaluation(local_copy, tmp_path):
    def succeed(script: str, *arguments) -> str:
        done = stage(script, "--output", "out", *arguments, directory=tmp_path)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    done = stage("refine.sh", "--output", "out", directory=tmp_path)
    assert done.returncode == 1 and "checkpoints/averaged.pt is missing; run train.sh first" in done.stderr
    succeed(
        "prepare.sh",
        "--data",
        local_copy,
        "--checksums",
        local_copy / "sums",
        "--vocab-size",
        120,
        "--jobs",
        2,
        "--embedding-size",
        32,
    )
    size = ("--", "--arch", "gnmt_v2_tiny", "--max-update", 30)
    succeed("train.sh", *size)
    assert "num_updates 30" in (tmp_path / "out" / "checkpoints" / "train.log").read_text(encoding="utf-8")
    assert "BLEU" in succeed("evaluate.sh", "--", "--max-len-b", 10)
    assert line_count(tmp_path / "out" / "translations" / "averaged.test.de") == 5
    assert "reward" in succeed("refine.sh", "--updates", 2, *size[:3], "--log-interval", 1)
    assert "already trained" in succeed("refine.sh", "--updates", 2, *size[:3], "--log-interval", 1)
    refined = tmp_path / "out" / "refined" / "checkpoint_last.pt"
    assert "BLEU" in succeed("evaluate.sh", "--checkpoint", refined, "--", "--max-len-b", 10)
    assert line_count(tmp_path / "out" / "translations" / "refined-checkpoint_last.test.de") == 5
