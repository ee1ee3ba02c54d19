"""Tests signals, closed pipes and kills: no traceback, no partial file, and one training run at a time in a folder.

Expected messages are written by hand.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from commands import PLUGIN, ROOT, run, start
from processes import SECONDS, wait_until
from test_distributed import start_two
from tiny_corpora import MODEL, OBJECTIVE, TASK, digits, trained_on_digits

ENDLESS = ["--max-update", 100_000, "--no-epoch-checkpoints"]
TRANSLATION = [*TASK, "--source-lang", "en", "--target-lang", "de"]


def training(folder: Path, *more) -> list:
    return [
        digits(),
        *TASK,
        *MODEL,
        *OBJECTIVE,
        "--lr",
        "1e-3",
        "--batch-size",
        32,
        *ENDLESS,
        "--save-dir",
        folder,
        *more,
    ]


def assert_ended(running, number: int) -> str:
    """Checks that the command was ended by the signal without a traceback; returns its stderr."""
    done = running.finish()
    assert done.code == -number, done.text[-4000:]
    assert "Traceback" not in done.text and "Logging error" not in done.text, done.text[-4000:]
    return done.stderr


def partial_files(folder: Path) -> list:
    return [path.name for path in folder.iterdir() if path.suffix in (".partial", ".tmp")]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("workers", [0, 2])
def test_training_at_any_point(tmp_path, number, workers):
    """Checkpoints are written continuously, so half of the signals arrive while one is being written."""
    delay = random.uniform(0, 1)
    print("delay", delay)  # shown when the test fails
    running = start(
        "train",
        *training(
            tmp_path,
            "--save-interval-updates",
            1,
            "--keep-interval-updates",
            1,
            "--disable-validation",
            "--num-workers",
            workers,
        ),
    )
    running.wait_for("begin training epoch")
    time.sleep(delay)
    os.kill(running.process.pid, number)
    message = assert_ended(running, number)
    last = tmp_path / "checkpoint_last.pt"
    if last.exists():
        assert f"interrupted: the same command continues from {last}." in message
        torch.load(last, weights_only=True)
    else:
        assert "interrupted before the first checkpoint: the same command starts from the beginning" in message
    assert not partial_files(tmp_path)


def test_two_processes_end_together_and_the_first_tells_how_to_go_on(tmp_path):
    ranks = start_two(*training(tmp_path))
    ranks[0].wait_for("begin training epoch")
    for running in ranks:
        os.kill(running.process.pid, signal.SIGTERM)
    messages = [assert_ended(running, signal.SIGTERM) for running in ranks]
    assert ["interrupted before the first checkpoint" in text for text in messages] == [True, False]


def test_a_process_that_loses_another_reports_it(tmp_path):
    first, second = start_two(*training(tmp_path, "--log-interval", 1))
    first.wait_for("num_updates")
    second.process.kill()
    done = first.finish()
    second.finish()
    assert done.code == 1 and "Traceback" not in done.text, done.text[-4000:]
    assert "error: another process of this training has ended" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_translation_at_any_point(number):
    commands = [
        start("generate", digits(), *TASK, "--path", trained_on_digits(), "--gen-subset", "train", "--batch-size", 1),
        start("interactive", digits(), *TRANSLATION, "--path", trained_on_digits(), stdin="two six\n" * 20_000),
    ]
    for running, begun in zip(commands, ("S-1", "S-1")):
        running.wait_for(begun)
        os.kill(running.process.pid, number)
        assert_ended(running, number)


@pytest.mark.parametrize("command", ["train", "generate"])
def test_a_reader_that_wants_one_line(tmp_path, command):
    """Runs the installed command with `| head -1`."""
    arguments = (
        training(tmp_path)
        if command == "train"
        else [digits(), *TASK, "--path", trained_on_digits(), "--gen-subset", "train", "--batch-size", 1]
    )
    program = str(Path(sys.executable).with_name(f"fairseq-{command}"))
    shell = ["bash", "-c", '"$@" | head -1 >/dev/null; echo "${PIPESTATUS[0]}"', "bash", program, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(shell, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    assert done.stdout == f"{128 + signal.SIGPIPE}\n", done.stderr[-4000:]
    assert "Traceback" not in done.stderr and "Logging error" not in done.stderr and "BrokenPipe" not in done.stderr


def test_the_second_training_in_a_folder_names_the_first_whose_death_lets_the_next_begin(tmp_path):
    first = start("train", *training(tmp_path, "--num-workers", 2))
    first.wait_for("begin training epoch")
    second = run("train", *training(tmp_path))
    assert second.code == 1 and "Traceback" not in second.text
    assert f"error: {tmp_path} is in use by process {first.process.pid} on " in second.stderr
    first.process.kill()
    first.process.join()
    third = run("train", *training(tmp_path, "--max-update", 1))  # workers of the first training may still run
    assert third.code == 0, third.text[-4000:]
    first.finish()


def test_a_training_removes_what_a_killed_one_has_left(tmp_path):
    (tmp_path / ".checkpoint_last.pt.1.partial").touch()
    done = run("train", *training(tmp_path, "--max-update", 1))
    assert done.code == 0 and ".checkpoint_last.pt.1.partial was removed" in done.text
    assert not partial_files(tmp_path)


def test_a_training_that_begins_with_a_link_to_a_checkpoint_leaves_the_checkpoint(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    assert run("train", *training(first, "--max-update", 1)).code == 0
    checkpoint = (first / "checkpoint_last.pt").read_bytes()
    second.mkdir()
    (second / "checkpoint_last.pt").symlink_to(first / "checkpoint_last.pt")
    assert run("train", *training(second, "--max-update", 2)).code == 0
    assert (first / "checkpoint_last.pt").read_bytes() == checkpoint
    assert not (second / "checkpoint_last.pt").is_symlink()
    assert (second / "checkpoint_last.pt").read_bytes() != checkpoint


def ask_for_tracebacks() -> None:
    os.environ["GNMT_TRACEBACK"] = "1"


def test_explained_errors_of_fairseq_show_their_traceback_when_asked(tmp_path):
    mistaken = training(tmp_path, "--lr", -1)
    assert "Traceback" not in run("train", *mistaken).stderr
    done = run("train", *mistaken, before=ask_for_tracebacks)
    assert "Traceback" in done.stderr and "error: --lr is -1.0" in done.stderr


def test_mistakes_with_hydra_are_explained_in_one_line(tmp_path):
    done = run(
        "hydra-train",
        "--config-dir",
        PLUGIN / "config",
        "--config-name",
        "gnmt_v2_tiny",
        f"common.user_dir={PLUGIN}",
        f"task.data={digits()}",
        f"checkpoint.save_dir={tmp_path}",
        f"hydra.run.dir={tmp_path}",
        "optimization.lr=[-1]",
        "optimization.max_update=5",
    )
    assert done.code == 1 and "Traceback" not in done.stderr and "error: --lr is -1.0" in done.stderr


def test_a_program_that_imports_the_plugin_keeps_its_signals():
    code = "import signal, fairseq_gnmt; print(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.endswith("True\n")


def prepare(folder: Path) -> subprocess.Popen:
    command = ["bash", str(ROOT / "examples" / "grammar_en_de" / "prepare.sh"), "--output", str(folder), "--jobs", "1"]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


def test_the_second_preparation_of_a_folder_names_the_first(tmp_path):
    first = prepare(tmp_path)
    lock = tmp_path / ".lock"
    wait_until(lambda: (lock.exists() and lock.read_text() != "") or first.poll() is not None)
    os.kill(first.pid, signal.SIGSTOP)  # the first command has not ended before the second one checks
    second = prepare(tmp_path)
    assert f"{tmp_path} is in use by process {first.pid} on" in second.communicate(timeout=SECONDS)[0]
    assert second.returncode == 1
    os.kill(first.pid, signal.SIGCONT)
    first.terminate()  # only the script gets the signal; it ends its children, who share its output
    assert "Traceback" not in first.communicate(timeout=SECONDS)[0] and first.returncode == -signal.SIGTERM
    left = [path for path in tmp_path.rglob("*") if path.suffix in (".partial", ".tmp")]
    assert not left


def test_a_pipe_as_the_output_of_a_script(tmp_path):
    pipe, text = tmp_path / "pipe", tmp_path / "text"
    os.mkfifo(pipe)
    text.write_text("Ein Hund läuft.\nZwei Männer sitzen.\n", encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [
        sys.executable,
        ROOT / "scripts" / "score.py",
        "--hypotheses",
        text,
        "--references",
        text,
        "--output",
        pipe,
    ]
    with subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE) as reader:
        subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
        assert reader.communicate(timeout=SECONDS)[0] == text.read_bytes()
    assert pipe.is_fifo()


@pytest.mark.slow
def test_killed_ten_times_with_validation_the_last_checkpoint_is_always_whole(tmp_path):
    seed = random.randrange(1000)
    choose = random.Random(seed)
    print("seed", seed)
    last = tmp_path / "checkpoint_last.pt"
    killed_in_a_write = 0
    for _ in range(10):
        running = start("train", *training(tmp_path, "--save-interval-updates", 1, "--keep-interval-updates", 1))
        running.wait_for("Saved checkpoint")
        time.sleep(choose.uniform(0, 0.5))
        running.process.kill()
        running.finish()
        killed_in_a_write += bool(partial_files(tmp_path))
        for checkpoint in (last, tmp_path / "checkpoint_best.pt"):
            assert "model" in torch.load(checkpoint, weights_only=True)
    print("killed in a write", killed_in_a_write)
    assert run("train", *training(tmp_path, "--max-update", 1)).code == 0
    assert not partial_files(tmp_path)


SPAWNING = """
import torch
if __name__ == "__main__":
    torch.cuda.device_count = lambda: 2  # fairseq starts one process for each
from fairseq_cli.train import cli_main
cli_main()
"""


def spawning(folder: Path, *more) -> subprocess.Popen:
    """Fixture: a training run that starts one process for each of two simulated GPUs."""
    options = "--distributed-world-size 2 --distributed-backend gloo --ddp-backend legacy_ddp".split()
    command = [sys.executable, "-c", SPAWNING, *map(str, training(folder, "--num-workers", 1, *options, *more))]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="two GPUs are simulated")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("send", [os.kill, os.killpg])
def test_processes_that_fairseq_starts_end_with_it(tmp_path, number, send):
    with spawning(tmp_path, "--log-interval", 1) as running:
        printed = ""
        while "num_updates" not in printed:
            printed += running.stdout.readline()
        send(running.pid, number)
        printed += running.communicate(timeout=SECONDS)[
            0
        ]  # returns only when all processes, who share this stdout, have ended
    assert running.returncode == -number and "Traceback" not in printed, printed[-4000:]


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="two GPUs are simulated")
def test_errors_in_processes_that_fairseq_starts_are_explained(tmp_path):
    first = start("train", *training(tmp_path))
    first.wait_for("begin training epoch")
    with spawning(tmp_path) as second:
        printed = second.communicate(timeout=SECONDS)[0]
    first.process.kill()
    assert second.returncode == 1 and "Traceback" not in printed
    assert f"error: {tmp_path} is in use by process {first.process.pid} on " in printed
    first.finish()
