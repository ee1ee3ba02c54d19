"""Tests the allocator settings: page faults and huge pages are counted by the operating system."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

PAGE_FAULTS = """
import resource, torch
from fairseq_gnmt.memory_allocation import prepare_memory
{beginning}
def blocks():
    for _ in range({rounds}):
        kept = [torch.ones({elements}) for _ in range({blocks})]
        del kept
blocks()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
blocks()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


MEBIBYTE = 1 << 18  # 4 bytes for each float32
# Every block is mapped separately. By default glibc raises its threshold and sometimes keeps smaller blocks.
EVERY_BLOCK_MAPPED = "import ctypes; ctypes.CDLL(None).mallopt(-3, 1 << 17)"


def page_faults(beginning: str, elements: int, blocks: int = 1, rounds: int = 10) -> int:
    """Returns the page faults of code in a new process, whose allocator settings are the defaults."""
    program = PAGE_FAULTS.format(beginning=beginning, elements=elements, blocks=blocks, rounds=rounds)
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    return int(done.stdout.splitlines()[-1])


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="settings are changed for glibc only")
def test_freed_memory_is_used_again_without_page_faults():
    """64 MiB are twice the default maximum that glibc keeps, and above the settable maximum of glibc before 2.35."""
    old = tuple(map(int, platform.libc_ver()[1].split("."))) < (2, 35)
    elements = (24 if old else 64) * MEBIBYTE
    unasked = page_faults(EVERY_BLOCK_MAPPED if old else "", elements)
    assert page_faults("prepare_memory()", elements) < unasked / 10


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="settings are changed for glibc only")
def test_much_freed_memory_is_used_again():
    """Frees 1.5 GiB in blocks of 24 MiB, as a training step does."""
    step = {"elements": 24 * MEBIBYTE, "blocks": 64, "rounds": 3}
    assert page_faults("prepare_memory()", **step) < page_faults(EVERY_BLOCK_MAPPED, **step) / 10


HUGE_PAGES = """
import re, torch
from fairseq_gnmt.memory_allocation import prepare_memory
prepare_memory()
kept = torch.ones(64 << 18)
sizes = re.findall(r"AnonHugePages: +([0-9]+) kB", open("/proc/self/smaps").read())
print(sum(map(int, sizes)))
"""
SETTING = Path("/sys/kernel/mm/transparent_hugepage/enabled")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="settings are changed for glibc only")
@pytest.mark.skipif(
    not SETTING.exists() or "[never]" in SETTING.read_text(), reason="the system has no transparent huge pages"
)
def test_the_heap_lies_in_large_pages():
    """At least half of 64 MiB, since the system may have few free huge pages."""
    done = subprocess.run([sys.executable, "-c", HUGE_PAGES], check=True, capture_output=True, text=True)
    assert int(done.stdout.splitlines()[-1]) > 32 << 10
