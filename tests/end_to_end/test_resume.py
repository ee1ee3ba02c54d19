"""Tests that a training run killed and restarted ends bit-identical to the uninterrupted run."""

import os
import random
import signal
import time
from functools import partial
from pathlib import Path
from typing import Callable, List

import pytest
import torch
from commands import Running, run, start
from test_distributed import run_two, start_two
from tiny_corpora import MODEL, OBJECTIVE, TASK, digits, scratch

UPDATES = 24
SETTINGS = [
    *MODEL,
    *OBJECTIVE,
    "--lr",
    "5e-3",
    "--lr-scheduler",
    "gnmt_warmup_step_decay",
    "--warmup-steps",
    5,
    "--batch-size",
    32,
    "--max-update",
    UPDATES,
    "--save-interval-updates",
    3,
    "--keep-interval-updates",
    2,
    "--dropout",
    0.3,
]
KILLED = -signal.SIGKILL


def arguments(folder: Path, *more) -> list:
    return [digits(), *TASK, *SETTINGS, "--save-dir", folder, *more]


def kill_self() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_in_update(update: int) -> None:
    """Kills the process within the given update."""
    from fairseq.trainer import Trainer

    train_step = Trainer.train_step

    def deadly(self, samples, raise_oom=False):
        if self.get_num_updates() + 1 == update:
            self.optimizer.step = lambda *_, **__: kill_self()
        return train_step(self, samples, raise_oom)

    Trainer.train_step = deadly


def die_writing(count: int) -> None:
    """Kills the process when half of the count-th checkpoint has been written."""
    import torch

    save, saves = torch.save, iter(range(1, 1000))

    def deadly(state, file):
        start = file.tell()
        save(state, file)
        if next(saves) == count:
            file.truncate(start + (file.tell() - start) // 2)
            kill_self()

    torch.save = deadly


def die_copying(count: int) -> None:
    """Kills the process when half of the count-th copy of a checkpoint has been written."""
    import shutil

    copyfile, copies = shutil.copyfile, iter(range(1, 1000))

    def deadly(source, target):
        copyfile(source, target)
        if next(copies) == count:
            os.truncate(target, os.path.getsize(target) // 2)
            kill_self()
        return target

    shutil.copyfile = deadly


def last_checkpoint(folder: Path) -> dict:
    return torch.load(folder / "checkpoint_last.pt", weights_only=True)


def assert_same_training(folder: Path, expected_folder: Path, updates: int = UPDATES) -> None:
    """Checks that parameters, both moments of Adam and the position in the data are equal bit for bit."""
    first, second = last_checkpoint(folder), last_checkpoint(expected_folder)
    assert first["optimizer_history"][-1]["num_updates"] == second["optimizer_history"][-1]["num_updates"] == updates
    assert first["extra_state"]["train_iterator"] == second["extra_state"]["train_iterator"]
    assert all(torch.equal(value, second["model"][name]) for name, value in first["model"].items())
    for index, moments in first["last_optimizer_state"]["state"].items():
        for name, value in moments.items():
            assert torch.equal(value, second["last_optimizer_state"]["state"][index][name])


@pytest.fixture(scope="module")
def uninterrupted() -> Path:
    folder = scratch() / "uninterrupted"
    assert run("train", *arguments(folder)).code == 0
    return folder


def test_killed_in_updates(uninterrupted, tmp_path):
    seed = random.randrange(1000)
    deaths = sorted(random.Random(seed).sample(range(1, UPDATES + 1), 2))
    print("killed in updates", deaths)  # shown when the test fails
    for update in deaths:
        assert run("train", *arguments(tmp_path), before=partial(die_in_update, update)).code == KILLED
    assert run("train", *arguments(tmp_path)).code == 0
    assert_same_training(uninterrupted, tmp_path)


def test_killed_on_both_sides_of_the_change_to_sgd(tmp_path):
    """The paper's optimizer: 12 updates of Adam, then SGD with decreasing rates, killed once in each part."""
    settings = ["--optimizer", "gnmt_adam_then_sgd", "--adam-updates", 12, "--lr-scheduler", "gnmt_adam_then_sgd"]
    settings += ["--sgd-lr", 0.1, "--halving-from", 18, "--halving-interval", 3, "--init-range", 0.04]
    command = [digits(), *TASK, *MODEL, *OBJECTIVE, *settings, "--lr", "5e-3", "--batch-size", 32]
    command += ["--max-update", UPDATES, "--save-interval-updates", 3, "--save-dir"]
    assert run("train", *command, tmp_path / "whole").code == 0
    for update in (8, 17):
        assert run("train", *command, tmp_path / "killed", before=partial(die_in_update, update)).code == KILLED
    assert run("train", *command, tmp_path / "killed").code == 0
    assert_same_training(tmp_path / "whole", tmp_path / "killed")


def nothing() -> None:
    pass


def flatten_weights() -> None:
    """Makes --fp16 join all weights, as on a GPU; fairseq groups them by device index, which is None for a CPU."""
    from fairseq_gnmt.patches import half_precision

    half_precision.trains_on_cpu = lambda cfg: False
    torch.cuda.current_device = lambda: None


def die_after(prepare: Callable[[], None], update: int) -> None:
    prepare()
    die_in_update(update)


LOSS_SCALE = ["--fp16-init-scale", 2, "--fp16-scale-window", 3]  # it doubles after updates 3 and 6


@pytest.mark.parametrize(
    "flags, prepare",
    [
        (["--fp16", *LOSS_SCALE], nothing),
        (["--fp16", *LOSS_SCALE], flatten_weights),
        (["--memory-efficient-fp16", *LOSS_SCALE], nothing),
    ],
)
def test_half_precision_killed_in_an_update(tmp_path, flags, prepare):
    """Master weights and loss scale are compared, too."""
    settings = [*flags, "--disable-validation", "--max-update", 7, "--save-interval-updates", 5]
    whole, killed = (arguments(tmp_path / name, *settings) for name in ("whole", "killed"))
    assert run("train", *whole, before=prepare).code == 0
    assert run("train", *killed, before=partial(die_after, prepare, 7)).code == KILLED
    assert run("train", *killed, before=prepare).code == 0
    assert_same_training(tmp_path / "whole", tmp_path / "killed", updates=7)
    first, second = (last_checkpoint(tmp_path / name)["last_optimizer_state"] for name in ("whole", "killed"))
    assert first.get("loss_scale") == second.get("loss_scale") == 8
    assert first.get("loss_scale_counters") == second.get("loss_scale_counters")
    assert ("master_weights" in first) == (not flags[0].startswith("--memory-efficient"))
    assert all(map(torch.equal, first.get("master_weights", []), second.get("master_weights", [])))
    if "master_weights" in first:
        assert (len(first["master_weights"]) == 1) == (prepare is flatten_weights)
    assert all(moment.dtype == torch.float32 for moments in first["state"].values() for moment in moments.values())


@pytest.mark.parametrize("death", [partial(die_writing, 5), partial(die_copying, 4)])
def test_killed_while_a_checkpoint_is_written(uninterrupted, tmp_path, death):
    assert run("train", *arguments(tmp_path), before=death).code == KILLED
    assert run("train", *arguments(tmp_path)).code == 0
    assert_same_training(uninterrupted, tmp_path)


def test_two_processes_killed_together(tmp_path):
    """Either the first process sends its state to the second, or both read the checkpoint."""
    whole = arguments(tmp_path / "whole")
    assert run_two(*whole) == [0, 0]
    for name, more in (("sent", []), ("read", ["--load-checkpoint-on-all-dp-ranks"])):
        command = arguments(tmp_path / name, *more)
        assert run_two(*command, before=partial(die_in_update, 11)) == [KILLED, KILLED]
        assert run_two(*command) == [0, 0]
        assert_same_training(tmp_path / "whole", tmp_path / name)


def updates_of(folder: Path) -> int:
    checkpoint = folder / "checkpoint_last.pt"
    if not checkpoint.exists():
        return 0
    return last_checkpoint(folder)["optimizer_history"][-1]["num_updates"]


def kill_at_random(processes: List[Running], choose: random.Random, seconds: float) -> None:
    time.sleep(choose.uniform(0.5, seconds))
    for running in processes:
        running.process.kill()


@pytest.mark.slow
@pytest.mark.parametrize("start_training", ["one process", "two processes"])
def test_killed_from_outside_at_any_time(tmp_path, start_training):
    launch: Callable[..., List[Running]] = start_two
    if start_training == "one process":
        launch = lambda *command: [start("train", *command)]  # noqa: E731

    seed = random.randrange(1000)
    choose = random.Random(seed)
    print("seed", seed)
    settings = ["--save-interval-updates", 1, "--keep-interval-updates", 1, "--disable-validation"]
    began = time.monotonic()
    assert {done.finish().code for done in launch(*arguments(tmp_path / "whole", *settings))} == {0}
    seconds = time.monotonic() - began
    command = arguments(tmp_path / "killed", *settings)
    for _ in range(8):
        processes = launch(*command)
        kill_at_random(processes, choose, seconds)
        for done in [running.finish() for running in processes]:
            # A process that loses its partner before it is killed itself prints this.
            assert done.code in (KILLED, 0) or "another process of this training has ended" in done.stderr, done.text
        if updates_of(tmp_path / "killed") == UPDATES:  # fairseq-train runs one more update after a finished training
            break
    else:
        assert {running.finish().code for running in launch(*command)} == {0}
    assert_same_training(tmp_path / "whole", tmp_path / "killed")
