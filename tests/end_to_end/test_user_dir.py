"""Tests that all components are registered, for each way of loading the plugin. Expected names are written by hand."""

import os
import subprocess
import sys

import pytest
from commands import PLUGIN, ROOT, installed
from fairseq.data import Dictionary
from fairseq.tasks.translation import load_langpair_dataset
from tiny_corpora import MODEL, OBJECTIVE, digits

CHECK = """
import argparse, sys
from fairseq import models, tasks, utils, scoring, optim, criterions
from fairseq.optim import lr_scheduler
{load}
names = "gnmt_v2 gnmt_v2_8_layers gnmt_v2_small gnmt_v2_tiny gnmt".split()
assert set(names) <= set(models.MODEL_REGISTRY) and set(names) <= set(models.ARCH_MODEL_REGISTRY)
assert "gnmt_translation" in tasks.TASK_REGISTRY
assert "gnmt_label_smoothed_cross_entropy" in criterions.CRITERION_REGISTRY
assert "gnmt_adam" in optim.OPTIMIZER_REGISTRY
assert "gnmt_warmup_step_decay" in lr_scheduler.LR_SCHEDULER_REGISTRY
assert "gnmt_bleu" in scoring.SCORER_REGISTRY
"""
BY_PATH = f"utils.import_user_module(argparse.Namespace(user_dir={str(PLUGIN)!r}))"
BY_NAME = f"import os; os.chdir({str(ROOT)!r}); utils.import_user_module(argparse.Namespace(user_dir='fairseq_gnmt'))"
BY_IMPORT = "import fairseq_gnmt"


@pytest.mark.parametrize(
    "load", [BY_PATH, BY_NAME, f"{BY_IMPORT}\n{BY_PATH}"], ids=["path", "name in the checkout", "import, then path"]
)
def test_names_are_registered(load, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT) if BY_IMPORT in load else ""}
    done = subprocess.run(
        [sys.executable, "-c", CHECK.format(load=load)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr


def test_installed_commands_from_another_folder(tmp_path):
    """Runs the real fairseq-train and fairseq-generate with the plugin on Python's path; the latter has a wrong option."""
    plugin = subprocess.run(
        [sys.executable, "-c", "import fairseq_gnmt, os; print(os.path.dirname(fairseq_gnmt.__file__))"],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        check=True,
    ).stdout.strip()
    options = ["--user-dir", plugin, "--task", "gnmt_translation", "--cpu", "--num-workers", 0]
    done = installed(
        "fairseq-train",
        digits(),
        *options,
        *MODEL,
        *OBJECTIVE,
        "--lr",
        "1e-3",
        "--batch-size",
        32,
        "--max-update",
        2,
        "--save-dir",
        "out",
        cwd=tmp_path,
    )
    assert done.code == 0, done.stderr[-3000:]
    done = installed(
        "fairseq-generate", digits(), *options, "--path", "out/checkpoint_last.pt", "--beam", 0, cwd=tmp_path
    )
    assert done.code == 1 and done.stderr.splitlines()[-1] == "error: --beam is 0, but must be at least 1."
    assert "Traceback" not in done.text


@pytest.mark.parametrize("workers", [1, 2])
def test_preprocess_keeps_pairs_together(tmp_path, workers):
    """A carriage return within a sentence does not shift later pairs."""
    (tmp_path / "train.en").write_bytes("\ufeffone\rtwo\r\n\nthree\n".encode("utf-8"))
    (tmp_path / "train.de").write_bytes("eins zwei\n\ndrei\n".encode("utf-8"))
    done = installed(
        "fairseq-preprocess",
        "--user-dir",
        PLUGIN,
        "--source-lang",
        "en",
        "--target-lang",
        "de",
        "--trainpref",
        tmp_path / "train",
        "--destdir",
        tmp_path / "bin",
        "--workers",
        workers,
    )
    assert done.code == 0, done.stderr[-3000:]
    dictionary = (tmp_path / "bin" / "dict.en.txt").read_text(encoding="utf-8").splitlines()
    assert {line.split()[0] for line in dictionary} >= {"one", "two", "three"}
    pairs = load_langpair_dataset(
        str(tmp_path / "bin"),
        "train",
        "en",
        Dictionary.load(str(tmp_path / "bin" / "dict.en.txt")),
        "de",
        Dictionary.load(str(tmp_path / "bin" / "dict.de.txt")),
        False,
        "mmap",
        1,
        False,
        False,
        99,
        99,
    )
    assert pairs.src_sizes.tolist() == [3, 1, 2] and pairs.tgt_sizes.tolist() == [3, 1, 2]
