import platform
import subprocess
import sys

import pytest

PAGE_FAULTS = """
import resource, torch
from fairseq_gnmt.memory_allocation import keep_freed_memory
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


MEBIBYTE = 1 << 18  # in float32


def page_faults(beginning: str, elements: int, blocks: int = 1, rounds: int = 10) -> int:
    """In a process of its own: nothing that this one did to its memory takes part."""
    program = PAGE_FAULTS.format(beginning=beginning, elements=elements, blocks=blocks, rounds=rounds)
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    return int(done.stdout.splitlines()[-1])


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are left as they are")
def test_freed_memory_is_used_again_without_page_faults():
    """64 MiB are twice the most that glibc keeps by itself, and more than its versions before 2.35 can be told to."""
    old = tuple(map(int, platform.libc_ver()[1].split("."))) < (2, 35)
    elements = (24 if old else 64) * MEBIBYTE
    unasked = page_faults("import ctypes; ctypes.CDLL(None).mallopt(-3, 1 << 17)" if old else "", elements)
    assert page_faults("keep_freed_memory()", elements) < unasked / 10


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are left as they are")
def test_much_freed_memory_is_used_again():
    """1.5 GiB in blocks of 24 MiB, as a training step frees them."""
    step = {"elements": 24 * MEBIBYTE, "blocks": 64, "rounds": 3}
    assert page_faults("keep_freed_memory()", **step) < page_faults("", **step) / 10
