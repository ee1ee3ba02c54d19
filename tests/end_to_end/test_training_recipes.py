"""Tests the fairseq-train options of `gnmt train` against the scripts of the examples and the printed command line."""

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import List

import torch

from gnmt.commands import train as command
from gnmt.training.recipes import LARGE_CORPORA
from prepared_folders import LENGTHS, ROOT, dry_run, options, options_of, prepared

SHOWING = '#!/bin/bash\nprintf "%s\\n" "$OMP_NUM_THREADS" "$@" > "$SHOWN"\nexit 1\n'


def shown_by(command_line: List[str], folder: Path) -> List[str]:
    """Returns OMP_NUM_THREADS and the arguments of a command line; a stand-in for fairseq-train records them."""
    programs = folder / "programs"
    programs.mkdir(exist_ok=True)
    (programs / "fairseq-train").write_text(SHOWING)
    (programs / "fairseq-train").chmod(0o755)
    path = f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    variables = {"PATH": path, "VIRTUAL_ENV": sys.prefix, "SHOWN": str(folder / "shown"), "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command_line, env={**os.environ, **variables}, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    return (folder / "shown").read_text().splitlines()


def binarised(folder: Path) -> Path:
    """Fixture: DIR/bin with 1000 training pairs of LENGTHS."""
    from fairseq.data import indexed_dataset

    (folder / "bin").mkdir()
    for language in ("en", "de"):
        prefix = str(folder / "bin" / f"train.en-de.{language}")
        builder = indexed_dataset.make_builder(f"{prefix}.bin", impl="mmap", vocab_size=100)
        for length, count in enumerate(LENGTHS):
            for _ in range(count):
                builder.add_item(torch.full((length + 1,), 7))
        builder.finalize(f"{prefix}.idx")
    return folder


def test_the_example_of_small_corpora_is_gnmt_train(tmp_path):
    folder = prepared(binarised(tmp_path))
    script = ["bash", str(ROOT / "examples/multi30k/train.sh"), "--output", str(folder), "--seed", "3"]
    done = subprocess.run(
        [*script, "--", "--precision", "fp32", "--dry-run"], capture_output=True, text=True, check=True
    )
    assert options_of(shlex.split(done.stdout)[2:]) == {**options(folder), "--seed": "3"}
    assert options(folder)["--max-update"] == "160"  # 10 epochs of ceil(1000 / 64)


def test_large_corpora_are_trained_as_wmt16(tmp_path):
    folder = prepared(binarised(tmp_path))
    command_line = ["bash", str(ROOT / "examples/wmt16_en_de/train.sh"), "--output", str(folder), "--cpu"]
    _, *script = shown_by(command_line, tmp_path)
    expected, chosen = options_of(script), options(folder, recipe=LARGE_CORPORA)
    assert expected.pop("--distributed-world-size") == "1"
    assert {name: chosen.pop(name) for name in ("--log-format", "--seed")} == {"--log-format": "simple", "--seed": "1"}
    # A tenth of the 6 updates of this small corpus gives no warm-up; the script is for WMT16 only.
    assert (chosen.pop("--warmup-steps"), expected.pop("--warmup-steps")) == ("0", "200")
    assert chosen == expected
    assert chosen["--max-update"] == "6"  # 6 epochs of 900 pairs that are short enough


def test_a_dry_run_prints_one_line_that_can_be_pasted(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(command, "available_cores", lambda: 64)
    folder = prepared(tmp_path / "my 'corpus'")
    printed = dry_run(capsys, folder, "--save-dir", "a b", "--eval-bleu-args", '{"beam": 2}')
    assert printed.count("\n") == 1 and not (folder / "checkpoints").exists()
    threads, *arguments = shown_by(["bash", "-c", printed], tmp_path)
    assert threads == "4" and ["OMP_NUM_THREADS=4", "fairseq-train", *arguments] == shlex.split(printed)
    assert arguments[0] == str(folder / "bin") and options_of(arguments)["--eval-bleu-args"] == '{"beam": 2}'
    assert options_of(arguments)["--save-dir"] == "a b"
