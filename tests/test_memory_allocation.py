import platform
import subprocess
import sys

import pytest

PAGE_FAULTS = """
import resource, torch
from fairseq_gnmt.memory_allocation import keep_freed_memory
{beginning}
def blocks():
    for _ in range(10):
        torch.ones(16 << 20)  # 64 MiB, twice the most that glibc keeps by itself
blocks()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
blocks()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(beginning: str) -> int:
    """In a process of its own: nothing that this one did to its memory takes part."""
    program = PAGE_FAULTS.format(beginning=beginning)
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    return int(done.stdout.splitlines()[-1])


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are left as they are")
def test_freed_memory_is_used_again_without_page_faults():
    assert page_faults("keep_freed_memory()") < page_faults("") / 10
