"""The processor, and the cores and memory that a program may use."""

import functools
import os
from pathlib import Path
from typing import Dict, Optional

PROCESSORS = Path("/proc/cpuinfo")
MEMORY = Path("/proc/meminfo")
MEMORY_LIMITS = (  # of a container: control groups, versions 2 and 1
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


def available_cores() -> int:
    """Returns the number of cores that this process may use, which can be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def available_memory() -> Optional[int]:
    """Returns the available memory in bytes, including the disk cache, or the limit of the container if it is smaller.

    Returns:
        None if the system does not report it, as systems other than Linux.
    """
    lines = MEMORY.read_text().splitlines() if MEMORY.exists() else []
    available = next((line for line in lines if line.startswith("MemAvailable:")), None)
    if available is None:
        return None
    texts = [path.read_text().strip() for path in MEMORY_LIMITS if path.exists()]
    limits = [int(text) for text in texts if text.isdigit()]  # "max" is no limit
    return min([int(available.split()[1]) * 1024, *limits])


@functools.cache
def processor() -> Dict[str, str]:
    """Returns the entries of /proc/cpuinfo for the first core, such as "model name"; empty on other systems."""
    try:
        text = PROCESSORS.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return {}
    entries = (line.partition(":") for line in text.partition("\n\n")[0].splitlines())
    return {name.strip(): value.strip() for name, _, value in entries}
