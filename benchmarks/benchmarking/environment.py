"""Environment of a measurement, and the load of the machine by other programs."""

import datetime
import os
import platform
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any, Dict, Optional

import torch

from gnmt.errors import UserError
from gnmt.machine import processor

# Instructions that decide the speed of float32 and int8 arithmetic.
NOTABLE_FLAGS = ("avx2", "fma", "avx512f", "avx512bw", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "amx_bf16")
PACKAGES = ("torch", "ve-fairseq", "fairseq", "numpy", "OpenNMT-py", "ctranslate2")
FREE = 0.2  # cores that others may use on a machine that counts as free
LOOKING_SECONDS = 1.0
CHECKOUT = Path(__file__).resolve().parents[2]


def record(threads: int, device: str) -> Dict[str, Any]:
    """Returns the data that are necessary to judge or to repeat the figures.

    Args:
        threads: number of threads of a contender.
        device: "cpu" or "cuda".
    """
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "commit": _commit(),
        "processor": processor().get("model name", platform.processor()),
        "flags": [flag for flag in NOTABLE_FLAGS if flag in processor().get("flags", "").split()],
        "cores": os.cpu_count(),
        "threads": threads,
        "load_average": list(os.getloadavg()),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
        "torch_cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "gpu": _gpu() if device == "cuda" else None,
    }


def _gpu() -> Dict[str, Any]:
    """Returns the GPU, its libraries and the flags of TensorFloat-32, which rounds float32 factors to 10 bits."""
    return {
        "name_and_driver": _output("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "tf32_in_cudnn": torch.backends.cudnn.allow_tf32,
        "tf32_in_matrix_products": torch.backends.cuda.matmul.allow_tf32,
        "tf32_override": os.environ.get("NVIDIA_TF32_OVERRIDE"),
    }


def _output(*command: str) -> Optional[str]:
    """Returns the output of a command, or None if it fails."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def _commit() -> Optional[str]:
    """Returns the commit of the checkout; a "+" is appended if files differ from it."""
    git = ["git", "-C", str(CHECKOUT)]
    commit = _output(*git, "rev-parse", "HEAD")
    if commit is None:  # no git, or no checkout
        return None
    return commit + ("+" if _output(*git, "status", "--porcelain") else "")


def _version(package: str) -> Optional[str]:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def busy_seconds() -> Optional[float]:
    """Processor time that all processes have used, or other virtual machines have stolen, since the machine started.

    None if the system has no such counter.
    """
    path = Path("/proc/stat")
    if not path.exists():
        return None
    all_cores = path.read_text().splitlines()[0]
    user, nice, system, _, _, interrupt, soft_interrupt, stolen, *_ = map(int, all_cores.split()[1:])
    return (user + nice + system + interrupt + soft_interrupt + stolen) / os.sysconf("SC_CLK_TCK")


def require_free_machine(allow_busy: bool) -> Optional[str]:
    """Returns None on a free machine. On a busy one, returns a warning if this is allowed, otherwise raises UserError."""
    before = busy_seconds()
    if before is None:
        return "The load by other programs is unknown: make sure that none are running."
    time.sleep(LOOKING_SECONDS)
    cores = (busy_seconds() - before) / LOOKING_SECONDS
    if cores <= FREE:
        return None
    sentence = f"Other programs use {cores:.1f} of {os.cpu_count()} cores"
    if not allow_busy:
        raise UserError(
            f"{sentence}, so the results would not be reliable: stop them, or give --allow-busy to try things out."
        )
    return f"{sentence}: THE RESULTS BELOW ARE NOT RELIABLE."


def disturbance(cores: Optional[float]) -> Optional[str]:
    """Returns a warning if other programs used too many cores on average while the contenders ran."""
    if cores is None or cores <= FREE:
        return None
    return f"Other programs used {cores:.1f} cores during the measurements: DO NOT TRUST THE FIGURES."
