"""Tests the benchmark of `gnmt bulk` against fairseq-interactive at its smallest size; both must give the same lines."""

import json
import subprocess
import sys

from commands import ROOT
from tiny_corpora import digit_pairs, digits, trained_on_digits


def test_both_programs_translate_the_same_lines(tmp_path):
    model, text, measured = tmp_path / "model", tmp_path / "text.en", tmp_path / "measured.json"
    export = [sys.executable, "-m", "gnmt", "export", trained_on_digits(), model, "--tokenizer", "spaces"]
    subprocess.run(list(map(str, export)), cwd=ROOT, check=True, capture_output=True)
    text.write_text("".join(f"{pair[0]}\n" for pair in digit_pairs(7, seed=5)) + "two six\n\ntwo six\n")
    command = [sys.executable, ROOT / "benchmarks" / "bulk_speed.py", model, digits(), trained_on_digits(), "--input", text,
               "--buffer", 4, "--batch-size", 3, "--repetitions", 1, "--json", measured, "--allow-busy"]  # fmt: skip
    done = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "9 lines (8 different), fp32, buffer 4, batch size 3, beam 5, 1 threads, 1 workers" in done.stdout
    assert "| fairseq-interactive |" in done.stdout and "| gnmt bulk |" in done.stdout
    assert "Lines: 9 and 9; 0 are translated differently." in done.stdout
    content = json.loads(measured.read_text())
    assert content["lines"] == 9 and set(content["seconds"]) == {"fairseq-interactive", "gnmt bulk"}
