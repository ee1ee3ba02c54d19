"""Tests the cores and the memory of a machine, from files of the Linux kernel. Expected bytes are worked out by hand."""

import os

import pytest

from gnmt import machine


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Fixture: replaces the files of the kernel; text None removes a file."""
    monkeypatch.setattr(machine, "MEMORY", tmp_path / "meminfo")
    monkeypatch.setattr(machine, "MEMORY_LIMITS", (tmp_path / "v2", tmp_path / "v1"))

    def write(name, text):
        (tmp_path / name).write_text(text)

    return write


def test_cores_of_this_process_are_counted(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {1, 5, 6}, raising=False)
    assert machine.available_cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert machine.available_cores() == 7


def test_memory_is_unknown_on_other_systems(write):
    assert machine.available_memory() is None
    write("meminfo", "MemTotal:  9000 kB\nMemFree:   10 kB\n")  # a kernel without this line
    assert machine.available_memory() is None


@pytest.mark.parametrize("limits, expected", [
    ({}, 3000 * 1024),
    ({"v2": "max\n"}, 3000 * 1024),
    ({"v2": "1000000\n"}, 1_000_000),
    ({"v1": "9223372036854771712\n"}, 3000 * 1024),
    ({"v1": "2000000\n"}, 2_000_000),
])  # fmt: skip
def test_memory_is_the_smaller_of_free_memory_and_the_limit_of_the_container(write, limits, expected):
    write("meminfo", "MemTotal:  9000 kB\nMemFree:   10 kB\nMemAvailable:   3000 kB\n")
    for name, text in limits.items():
        write(name, text)
    assert machine.available_memory() == expected


def test_processor_is_the_first_core(tmp_path, monkeypatch):
    path = tmp_path / "cpuinfo"
    path.write_text("model name\t: A: 1\nflags\t\t: avx2 fma\npower management:\n\nmodel name\t: B\n", encoding="utf-8")
    monkeypatch.setattr(machine, "PROCESSORS", path)
    assert machine.processor.__wrapped__() == {"model name": "A: 1", "flags": "avx2 fma", "power management": ""}
    path.unlink()
    assert machine.processor.__wrapped__() == {}
