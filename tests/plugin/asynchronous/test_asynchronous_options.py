"""Tests that asynchronous training refuses unsupported options before data are read.

Expected messages are written by hand.
"""

import importlib.util
import shlex

import pytest

from fairseq_gnmt.asynchronous.options import check_asynchronous_options, max_staleness
from fairseq_gnmt.fairseq_option_checks import check_options
from fairseq_gnmt.fairseq_options import TRAIN
from gnmt.errors import UserError
from prepared_folders import dry_run, options_of, prepared
from fairseq_configurations import configuration


find_spec = importlib.util.find_spec


@pytest.fixture(autouse=True)
def ray_is_installed(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: find_spec("json" if name == "ray" else name))


def asynchronous(replicas: int = 2, optimizer: str = "gnmt_adam", **options):
    return configuration(TRAIN, "--optimizer", optimizer, asynchronous_replicas=replicas, **options)


def test_the_default_bound_allows_one_replica_half_as_fast():
    assert [max_staleness(asynchronous(replicas)) for replicas in (1, 2, 4)] == [0, 2, 6]
    assert max_staleness(asynchronous(4, max_staleness=3)) == 3


@pytest.mark.parametrize("optimizer", ["gnmt_adam", "gnmt_adam_then_sgd"])
def test_accepted(optimizer):
    check_asynchronous_options(asynchronous(optimizer=optimizer, max_staleness=1, update_freq=[2], clip_norm=5.0))
    check_asynchronous_options(configuration(TRAIN, "--optimizer", "nag", use_bmuf=True))  # no replicas


@pytest.mark.parametrize(
    "options, message",
    [
        ({"distributed_world_size": 2}, "--distributed-world-size cannot be combined with --asynchronous-replicas"),
        ({"use_bmuf": True}, "--use-bmuf"),
        ({"fp16": True}, "--fp16"),
        ({"bf16": True}, "--bf16"),
        ({"store_ema": True}, "--store-ema"),
        ({"optimizer": "adafactor"}, "--optimizer gnmt_adam or gnmt_adam_then_sgd, not adafactor"),
        (
            {"replicas": 4, "max_staleness": 2},
            "--max-staleness 2 lets 3 replicas work at a time, but there are 4: .* least 3",
        ),
    ],
)
def test_refused(options, message):
    with pytest.raises(UserError, match=message):
        check_asynchronous_options(asynchronous(**options))


def test_ray_is_required(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"needs the package ray: run pip install -e '\.\[ray\]'"):
        check_asynchronous_options(asynchronous())


def test_options_of_replicas_need_replicas():
    for option in ("max_staleness", "parameter_servers"):
        with pytest.raises(UserError, match="give --asynchronous-replicas, too"):
            check_options(configuration(TRAIN, **{option: 3}), TRAIN)


def test_gnmt_train(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("gnmt.commands.train.available_cores", lambda: 6)
    folder = prepared(tmp_path / "prepared")
    command = dry_run(capsys, folder, "--cpu", "--replicas", 3, "--asynchronous", "--max-staleness", 4)
    command = shlex.split(command)
    assert command[0] == "OMP_NUM_THREADS=2"
    options = options_of(command[2:])
    assert options["--asynchronous-replicas"] == "3" and options["--max-staleness"] == "4"
    assert "--asynchronous-replicas" not in dry_run(capsys, folder, "--cpu")
    for half in (["--replicas", 2], ["--asynchronous"]):
        with pytest.raises(UserError, match="--replicas and --asynchronous go together"):
            dry_run(capsys, folder, *half)
    with pytest.raises(UserError, match="replicas"):
        dry_run(capsys, folder, "--replicas", 0, "--asynchronous")
