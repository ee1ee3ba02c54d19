"""Start of a measurement of peak memory, which gnmt.commands.speed.peak_mebibytes ends."""

from pathlib import Path

import torch


def forget_peak() -> None:
    """Resets the peak of this process's memory, on Linux, so that it excludes the building of a network."""
    if torch.cuda.is_initialized():
        torch.cuda.reset_peak_memory_stats()
    path = Path("/proc/self/clear_refs")
    try:
        path.write_text("5")
    except OSError:  # another system, or not allowed: the peak then counts from the start of the process
        pass
