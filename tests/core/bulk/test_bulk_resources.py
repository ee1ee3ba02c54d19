"""Tests the number of processes and threads of a bulk translation. Expected numbers are worked out by hand."""

import argparse

import pytest

from gnmt.bulk import resources
from gnmt.bulk.resources import Resources, default_workers
from gnmt.commands import bulk_options

GIB = 1 << 30


@pytest.fixture
def machine(monkeypatch):
    """Fixture: simulates a machine with a number of cores and bytes of memory."""

    def simulate(cores, memory):
        monkeypatch.setattr(resources, "available_cores", lambda: cores)
        monkeypatch.setattr(bulk_options, "available_cores", lambda: cores)
        monkeypatch.setattr(resources, "available_memory", lambda: memory)

    return simulate


@pytest.fixture
def model(tmp_path):
    """Fixture: folder of 0.25 GiB, so that a process is estimated to need 1 + 4 * 0.25 = 2 GiB."""
    with open(tmp_path / "model.safetensors", "wb") as file:
        file.truncate(GIB // 4)
    return tmp_path


@pytest.mark.parametrize("cores, memory, threads, expected", [
    (8, 64 * GIB, 1, 8),
    (8, 64 * GIB, 3, 2),
    (8, 64 * GIB, 9, 1),
    (8, 12 * GIB, 1, 3),  # half of 12 GiB has room for three
    (8, GIB, 1, 1),
    (8, None, 1, 1),
])  # fmt: skip
def test_one_process_per_core_if_memory_allows(machine, model, cores, memory, threads, expected):
    machine(cores, memory)
    assert default_workers([model], threads) == expected


def test_every_process_loads_every_model_of_an_ensemble(machine, model):
    machine(8, 12 * GIB)
    assert default_workers([model, model], 1) == 2  # 3 GiB each


@pytest.mark.parametrize("shards, expected", [(9, Resources(4, 2)), (4, Resources(4, 2)), (3, Resources(3, 2)),
                                              (1, Resources(1, 8)), (0, Resources(1, 8))])  # fmt: skip
def test_few_shards_get_the_threads_of_all_processes(shards, expected):
    assert Resources(4, 2).for_shards(shards) == expected


@pytest.mark.parametrize("options, expected", [
    ([], Resources(8, 1, ["cpu"])),
    (["--workers", "3"], Resources(3, 2, ["cpu"])),
    (["--threads", "4"], Resources(2, 4, ["cpu"])),
    (["--workers", "1", "--threads", "1"], Resources(1, 1, ["cpu"])),
    (["--device", "cuda:0", "cuda:1"], Resources(2, 4, ["cuda:0", "cuda:1"])),
    (["--engine", "ray"], Resources(1, 8, ["cpu"])),
    (["--engine", "print"], Resources(1, 8, ["cpu"])),
])  # fmt: skip
def test_options_that_are_left_out_follow_from_the_others(machine, model, monkeypatch, options, expected):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    machine(8, 64 * GIB)
    assert resources_for(model, options) == expected


@pytest.mark.parametrize("variable, options, expected", [
    ("2", [], Resources(4, 2, ["cpu"])),
    ("4,2", [], Resources(2, 4, ["cpu"])),
    ("2", ["--threads", "1"], Resources(8, 1, ["cpu"])),
    ("2", ["--workers", "2"], Resources(2, 2, ["cpu"])),
    ("2", ["--engine", "print"], Resources(1, 2, ["cpu"])),
    ("many", [], Resources(8, 1, ["cpu"])),
    ("0", [], Resources(8, 1, ["cpu"])),
])  # fmt: skip
def test_the_variable_of_openmp_is_the_number_of_threads(machine, model, monkeypatch, variable, options, expected):
    monkeypatch.setenv("OMP_NUM_THREADS", variable)
    machine(8, 64 * GIB)
    assert resources_for(model, options) == expected


def resources_for(model, options):
    parser = argparse.ArgumentParser()
    bulk_options.add_translation(parser)
    arguments = parser.parse_args([str(model), "--input", "in", "--output", "out", *options])
    return bulk_options.resources_of(arguments)
