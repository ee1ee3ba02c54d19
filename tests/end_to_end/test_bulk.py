"""Tests `gnmt bulk` in separate processes that are killed and restarted.

Expected output comes from one uninterrupted run.
"""

import fcntl
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, List, NamedTuple, Optional, Tuple

import pytest
from bulk_commands import DIFFERING_SEED, SENTENCES, expected_texts, planned, translated
from commands import ROOT
from model_folders import WORDS, make_model_folder
from processes import SECONDS, command_line, descendants, is_running, wait_until

from gnmt.bulk.manifest import BulkFolder, read_manifest
from gnmt.bulk.results import Damage, verify


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return make_model_folder(tmp_path_factory.mktemp("bulk") / "model", DIFFERING_SEED)


@pytest.fixture
def source(tmp_path) -> Path:
    return write_corpus(tmp_path / "in.en", 12)


def write_corpus(path: Path, lines: int) -> Path:
    """Writes distinct random sentences."""
    draw = random.Random(3)
    words = [word.strip("▁") for word in WORDS]
    path.write_text("".join(" ".join(draw.choices(words, k=draw.randint(3, 30))) + "\n" for _ in range(lines)))
    return path


def start(*arguments, **options) -> subprocess.Popen:
    command = [sys.executable, "-m", "gnmt", "bulk", *map(str, arguments)]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, **options
    )


def run(*arguments, stdin: bytes = b"") -> Tuple[int, bytes, str]:
    """Returns the exit code, stdout and stderr."""
    process = start(*arguments, stdin=subprocess.PIPE)
    out, err = process.communicate(stdin, timeout=SECONDS)
    return process.returncode, out, err.decode("utf-8")


def shards_done(folder: Path) -> int:
    return len(list((folder / "done").glob("*.json")))


class Killed(NamedTuple):
    """A killed process, or None if it had already ended, and its child processes."""

    pid: Optional[int]
    orphans: List[int]


def kill_at(process: subprocess.Popen, folder: Path, shards: int, seconds: float, victim: str) -> Killed:
    """Kills a run, or one of its workers, a given number of seconds after a given number of shards is done."""
    wait_until(lambda: shards_done(folder) >= shards or process.poll() is not None)
    time.sleep(seconds)
    if process.poll() is not None:
        return Killed(None, [])
    started = descendants(process.pid)
    if victim == "run":
        process.kill()
        process.wait()
        return Killed(process.pid, started)
    workers = [pid for pid in started if b"spawn_main" in command_line(pid)]
    if not workers or not kill(workers[-1]):
        return Killed(None, [])
    return Killed(workers[-1], [])


def kill(pid: int) -> bool:
    """Kills a process; returns False if it has already ended."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


@contextmanager
def stopped_at(folder: Path, shard: int) -> Iterator[None]:
    """Holds the lock of a shard, so that no worker can pass it before the test continues."""
    with open(folder / "input" / f"{shard:06d}.zst", "rb+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def check_what_is_left(folder: Path) -> None:
    """Checks that each visible file is complete."""
    if (folder / "manifest.json").exists():
        manifest = read_manifest(BulkFolder(folder))
        assert verify(BulkFolder(folder), manifest) == Damage({}, {})


def output_files(folder: Path) -> dict:
    return {path.name: path.read_bytes() for path in (folder / "output").iterdir()}


def test_a_killed_run_is_continued_and_a_killed_worker_is_replaced(model, tmp_path):
    """The first run is killed after its second shard, a worker of the second run later; the third runs to its end."""
    source = write_corpus(tmp_path / "in.en", 12)
    straight = translated(model, source, tmp_path / "straight", "--lines-per-shard", 1)
    out = tmp_path / "out"
    command = (model, "--input", source, "--output", out, "--lines-per-shard", 1, "--workers", 1, "--threads", 1)
    planned(*command[:1], source, out, "--lines-per-shard", 1)
    with stopped_at(out, 5):
        orphans = kill_at(start(*command), out, 2, 0.01, "run").orphans
        assert orphans and 2 <= shards_done(out) <= 5
        wait_until(lambda: not any(map(is_running, orphans)))
        check_what_is_left(out)
    done = [out / "output" / f"{record.stem}.zst" for record in (out / "done").glob("*.json")]
    before = {path: path.stat().st_mtime_ns for path in done}
    with stopped_at(out, 9):
        process = start(*command)
        assert kill_at(process, out, shards_done(out) + 2, 0.0, "worker").pid
    _, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, err
    assert output_files(out) == output_files(straight)
    assert {path: path.stat().st_mtime_ns for path in before} == before  # finished shards were not translated again
    code, printed, err = run(*command)
    assert code == 0, err
    first, *_, last = printed.decode().splitlines()
    assert first == "12 of 12 shards are done: 12 of 12 lines (100.0 %)"
    assert last == f"next: gnmt bulk merge {out} --to FILE"


def test_ctrl_c_names_the_way_to_continue(model, source, tmp_path):
    out = planned(model, source, tmp_path / "out", "--lines-per-shard", 1)
    with stopped_at(out, 2):
        process = start(
            model, "--input", source, "--output", out, "--lines-per-shard", 1, "--workers", 1, "--threads", 1
        )
        wait_until(lambda: shards_done(out) == 2 or process.poll() is not None)
        process.send_signal(signal.SIGINT)
        printed, error_message = process.communicate(timeout=SECONDS)
    assert (process.returncode, printed) == (-signal.SIGINT, b"")
    last = error_message.decode().replace("\r", "\n").splitlines()[-1]
    assert last == "interrupted: 2 of 12 shards are done; the same command continues."


@pytest.mark.slow
def test_50_kills_at_random_points(model, tmp_path):
    """Kills runs and workers in all phases, from start to merge; the corpus is translated again whenever it is
    complete.
    """
    source = write_corpus(tmp_path / "in.en", 150)
    straight = output_files(translated(model, source, tmp_path / "straight", "--lines-per-shard", 3))
    draw = random.Random(20)
    kills, out = 0, tmp_path / "out0"
    while kills < 50:
        command = (model, "--input", source, "--output", out, "--lines-per-shard", 3, "--workers", 2, "--threads", 1)
        process = start(*command)
        for victim in draw.choice([["run"], ["worker", "run"]]):
            done = shards_done(out) + draw.randint(0, 3)
            kills += kill_at(process, out, done, draw.uniform(0, 0.5), victim).pid is not None
        process.communicate(timeout=SECONDS)
        check_what_is_left(out)
        if shards_done(out) == len(straight):
            assert output_files(out) == straight
            out = tmp_path / f"out{kills}"
    code, _, err = run(*command[:3], "--output", out, *command[5:])
    assert code == 0, err
    assert output_files(out) == straight


def test_two_runs_at_once(model, source, tmp_path):
    """The second run is refused while the first, which is not disturbed, is still running."""
    out = tmp_path / "out"
    command = (model, "--input", source, "--output", out, "--lines-per-shard", 1, "--threads", 1)
    first = start(*command)
    wait_until(lambda: (out / ".lock").exists() and (out / ".lock").read_text() != "")
    os.kill(first.pid, signal.SIGSTOP)
    code, _, err = run(*command)
    os.kill(first.pid, signal.SIGCONT)
    assert code == 1 and f"{out} is in use by process {first.pid} on " in err
    assert first.wait(SECONDS) == 0
    straight = translated(model, source, tmp_path / "straight", "--lines-per-shard", 1)
    assert output_files(out) == output_files(straight)


def test_two_commands_of_one_shard_do_its_work_once(model, source, tmp_path):
    out = tmp_path / "out"
    code, commands, _ = run(model, "--input", source, "--output", out, "--engine", "print")
    assert code == 0 and commands.decode().split()[:5] == ["gnmt", "bulk", "shard", str(out), "0"]
    processes = [start("shard", out, 0) for _ in range(2)]
    printed = [process.communicate(timeout=SECONDS)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert printed[0] == printed[1]  # times are equal, too: one process has read the record of the other
    assert not list(out.rglob("*.partial"))


def test_stdin_to_stdout(model):
    """Plain and compressed input, with two processes; output lines are in order."""
    import gzip

    text = "".join(f"{line}\n" for line in SENTENCES).encode()
    for content in (text, gzip.compress(text)):
        code, out, err = run(
            model,
            "--input",
            "-",
            "--output",
            "-",
            "--lines-per-shard",
            2,
            "--workers",
            2,
            "--threads",
            1,
            stdin=content,
        )
        assert code == 0, err
        assert out.decode().splitlines() == expected_texts(model, list(SENTENCES))


def test_shards_that_fail_are_named_and_the_others_are_done(model, source, tmp_path):
    out = tmp_path / "out"
    command = (model, "--input", source, "--output", out, "--lines-per-shard", 4, "--threads", 1)
    run(*command, "--engine", "print")
    whole = (out / "input" / "000001.zst").read_bytes()
    (out / "input" / "000001.zst").write_bytes(b"dog\n")
    code, _, err = run(*command)
    assert code == 1 and f"error: 1 of 3 shards are not done; shard 1: {out / 'input' / '000001.zst'} is damaged" in err
    assert shards_done(out) == 2
    (out / "input" / "000001.zst").write_bytes(whole)
    assert run(*command)[0] == 0 and shards_done(out) == 3


def test_a_model_that_cannot_be_loaded_is_reported_in_one_line(model, source, tmp_path):
    broken = shutil.copytree(model, tmp_path / "model")
    (broken / "vocab.json").write_text("{}")
    code, _, err = run(broken, "--input", source, "--output", tmp_path / "out")
    assert code == 1 and err.splitlines()[-1].startswith("error: ") and "vocab.json differs from its checksum" in err


# -- Ray


def ray_workers(pid: int) -> List[int]:
    """Returns the worker processes of a run."""
    return [child for child in descendants(pid) if b"ray::MapWorker" in command_line(child)]


@pytest.mark.slow
def test_ray_tells_why_it_fails_and_then_translates_the_same(model, source, tmp_path):
    pytest.importorskip("ray", reason="the engine needs the extra [ray]")
    straight = translated(model, source, tmp_path / "straight", "--lines-per-shard", 3)
    out = tmp_path / "out"
    options = ("--input", source, "--output", out, "--lines-per-shard", 3, "--workers", 2, "--threads", 1)
    broken = shutil.copytree(model, tmp_path / "model")
    whole = (broken / "vocab.json").read_bytes()
    (broken / "vocab.json").write_text("{}")
    code, _, err = run(broken, *options, "--engine", "ray")
    assert code == 1 and err.splitlines()[-1].startswith(f"error: Ray failed: {broken / 'vocab.json'} differs"), err
    assert "Traceback" not in err
    (broken / "vocab.json").write_bytes(whole)
    code, _, err = run(broken, *options, "--engine", "ray")
    assert code == 0, err
    assert output_files(out) == output_files(straight)


@pytest.mark.slow
def test_10_kills_of_a_ray_worker(model, tmp_path):
    pytest.importorskip("ray", reason="the engine needs the extra [ray]")
    source = write_corpus(tmp_path / "in.en", 150)
    straight = output_files(translated(model, source, tmp_path / "straight", "--lines-per-shard", 1))
    draw = random.Random(10)
    kills, number = 0, 0
    while kills < 10:
        out = tmp_path / f"out{number}"
        number += 1
        command = (model, "--input", source, "--output", out, "--lines-per-shard", 1, "--workers", 1, "--threads", 1)
        process = start(*command, "--engine", "ray")
        while process.poll() is None and kills < 10:
            begun = shards_done(out)
            wait_until(lambda: shards_done(out) > begun or process.poll() is not None)
            time.sleep(draw.uniform(0, 0.2))
            workers = ray_workers(process.pid) if process.poll() is None else []
            kills += bool(workers) and kill(workers[0])
        _, err = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, err
        assert output_files(out) == straight


def test_ray_refuses_more_workers_than_a_cluster_has_cpus_for(tmp_path):
    """Otherwise Ray would wait for free CPUs forever."""
    from gnmt.bulk.engines import ray_data
    from gnmt.bulk.resources import Resources
    from gnmt.errors import UserError

    class Ray:
        """Simulated cluster of 4 CPUs."""

        init = staticmethod(lambda **options: None)
        shutdown = staticmethod(lambda: None)
        cluster_resources = staticmethod(lambda: {"CPU": 4.0})

    ray_data._connect(Ray, Resources(3, 1), "auto")
    with pytest.raises(UserError, match="2 workers of 2 threads need 5 CPUs, 1 for Ray itself, but the cluster has 4"):
        ray_data._connect(Ray, Resources(2, 2), "auto")


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_an_address_where_no_cluster_listens_is_refused_before_ray_tries_it(scheme, monkeypatch):
    """Ray would retry for over a minute and then end the process without an exception."""
    from gnmt.bulk.engines import ray_data
    from gnmt.bulk.resources import Resources
    from gnmt.errors import UserError

    class Ray:
        """Simulated Ray that must not be called."""

        init = staticmethod(lambda **options: pytest.fail("Ray was called"))

    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"{scheme}127.0.0.1:{unused.getsockname()[1]}"
        monkeypatch.setenv("RAY_ADDRESS", address)
        for given in (address, "auto"):
            with pytest.raises(UserError, match=f"Ray cannot be reached at {address} .Connection refused"):
                ray_data._connect(Ray, Resources(1, 1), given)
