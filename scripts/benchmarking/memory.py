"""The most memory that this process has held: on the GPU if it uses one, else its resident memory."""
import resource
import sys
from pathlib import Path

import torch

MIB = 1 << 20


def forget_peak() -> None:
    """From here on the peak counts anew, where the system can do that (Linux): building a network is not running it."""
    if torch.cuda.is_initialized():
        torch.cuda.reset_peak_memory_stats()
    path = Path("/proc/self/clear_refs")
    try:
        path.write_text("5")
    except OSError:  # another system, or not allowed: the peak then counts from the start of the process
        pass


def peak_mebibytes() -> float:
    """Not from getrusage on Linux: its peak includes that of the process which started this one."""
    if torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated() / MIB
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / MIB
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MIB
