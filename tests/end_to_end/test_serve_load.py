"""Tests the load test and the endurance test of `gnmt serve` at small sizes."""

import json
import subprocess
import sys

import pytest

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")

from commands import ROOT
from model_folders import make_model_folder
from served import SEED, random_texts


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("load")
    (folder / "test.en").write_text("\n".join(random_texts(12)) + "\n")
    return make_model_folder(folder / "model", SEED), folder / "test.en"


def benchmark(name: str, model, text, *options) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "benchmarks" / name), str(model), "--input", str(text), "--threads", "1"]
    return subprocess.run([*command, *map(str, options)], capture_output=True, encoding="utf-8", timeout=600)


def test_the_load_test_compares_every_translation(inputs, tmp_path):
    done = benchmark("serve_load.py", *inputs, "--clients", 1, 4, "--repetitions", 1, "--json", tmp_path / "load.json")
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "load.json").read_text())
    assert [(row["clients"], row["different"]) for row in report["measured"]] == [(1, 0), (4, 0)]
    assert report["sentences"] == 12 and report["offline"][0] > 0 and "| of offline |" in done.stdout


def test_the_long_run_counts_every_request(inputs, tmp_path):
    options = ["--minutes", 0.1, "--every", 1, "--clients", 8, "--precision", "int8", "--json", tmp_path / "soak.json"]
    done = benchmark("serve_soak.py", *inputs, *options)
    assert done.returncode == 0, done.stderr + done.stdout
    report = json.loads((tmp_path / "soak.json").read_text())
    assert report["counts"]["answered with 200"] > 0 and report["wrong"] == [] and len(report["memory"]) >= 3
