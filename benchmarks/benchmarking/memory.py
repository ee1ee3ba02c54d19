"""Start of a measurement of peak memory, which gnmt.commands.speed.peak_mebibytes ends."""

from pathlib import Path

import torch


def forget_peak() -> None:
    """From here on the peak counts anew, where the system can do that (Linux): building a network is not running it."""
    if torch.cuda.is_initialized():
        torch.cuda.reset_peak_memory_stats()
    path = Path("/proc/self/clear_refs")
    try:
        path.write_text("5")
    except OSError:  # another system, or not allowed: the peak then counts from the start of the process
        pass
