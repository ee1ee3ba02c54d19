"""Tests the command that cleans parallel text: printed counts, errors in one sentence, and no partial output after a
kill. Expected texts are written by hand.
"""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from parallel_corpora import Corpus, write

REPOSITORY = Path(__file__).resolve().parents[2]


def words(count: int) -> str:
    return " ".join(["w"] * count)


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return Corpus(tmp_path)


def test_command_prints_the_counts_or_one_sentence(corpus: Corpus) -> None:
    command = [sys.executable, "-m", "fairseq_gnmt.data.cleaning"]
    command += ["--source", *map(str, corpus.sources), "--target", *map(str, corpus.targets)]
    command += ["--output-prefix", str(corpus.folder / "out"), "--source-lang", "en", "--target-lang", "de"]
    command += ["--drop-duplicates", "--require-encoding", "latin-1"]
    first, second = (subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True) for _ in range(2))
    assert first.returncode == 0, first.stderr
    rows = [line.rsplit(maxsplit=2) for line in first.stdout.splitlines()]
    assert rows[0] == ["read", "11", "100.00%"]
    assert rows[1] == ["dropped: empty", "2", "18.18%"]
    assert rows[-1] == ["kept", "4", "36.36%"]

    assert second.returncode == 1 and second.stdout == ""
    assert second.stderr.splitlines()[-1].startswith("error: ") and "--overwrite" in second.stderr
    assert "Traceback" not in second.stderr


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_killed_command_leaves_no_half_output(tmp_path: Path, stop: signal.Signals) -> None:
    write(tmp_path / "s", [words(20)] * 200_000)  # seconds of work, counted from the first partial file
    write(tmp_path / "t", [words(20)] * 200_000)
    arguments = ["--source", str(tmp_path / "s"), "--target", str(tmp_path / "t"), "--jobs", "2"]
    arguments += ["--output-prefix", str(tmp_path / "out" / "train"), "--source-lang", "en", "--target-lang", "de"]
    command = [sys.executable, "-m", "fairseq_gnmt.data.cleaning", *arguments]
    with subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 120
        while len(list(tmp_path.glob("out/.*.partial"))) < 3:
            assert process.poll() is None and time.monotonic() < deadline, process.stderr.read()
            time.sleep(0.01)
        process.send_signal(stop)
        stderr = process.communicate(timeout=60)[1]  # returns only when the workers, who share this stderr, have ended
    assert process.returncode == -stop and b"Traceback" not in stderr
    assert list(tmp_path.glob("out/train*")) == []
    assert len(list(tmp_path.glob("out/.*.partial"))) == (3 if stop == signal.SIGKILL else 0)
