"""Ray on this machine for one training run: bound to 127.0.0.1, with its own key, and stopped at the end."""

import functools
import os
import secrets
import shutil
import signal
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import List

import fairseq_gnmt
from gnmt.errors import UserError

ATTEMPTS = 3  # attempts to start Ray, each with a timeout of half a minute
MIN_STORE_BYTES = 100 << 20  # Ray needs 75 MB
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # makes Ray listen on 127.0.0.1 only
    "RAY_AUTH_MODE": "token",
    "RAY_worker_register_timeout_seconds": "600",  # covers slow imports on a busy machine
    "RAY_worker_niceness": "0",  # normal priority
    "RAY_memory_monitor_refresh_ms": "0",  # off: the monitor would kill replicas when other programs fill the memory
}
FOLDER_PREFIX = "gnmt-ray-"  # short, because paths of Ray's sockets in the folder are limited to 107 bytes

_folders: List[str] = []  # of Ray's logs and sockets


def start_ray(processes: int, store_bytes: int) -> ModuleType:
    """Starts Ray, and returns its module.

    Args:
        processes: number of processes; with fewer logical CPUs Ray would wait for a free one.
        store_bytes: size of the shared memory for buffers in transit.

    Raises:
        UserError: if Ray does not start.
    """
    plugin = str(Path(fairseq_gnmt.__file__).parents[1])
    paths = [plugin, *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    os.environ.update(ENVIRONMENT, RAY_AUTH_TOKEN=key(), PYTHONPATH=os.pathsep.join(filter(None, paths)))
    import ray

    on_sigterm = signal.getsignal(signal.SIGTERM)
    for attempts_left in reversed(range(ATTEMPTS)):
        _folders.append(tempfile.mkdtemp(prefix=FOLDER_PREFIX))
        try:
            ray.init(
                num_cpus=processes,
                object_store_memory=max(store_bytes, MIN_STORE_BYTES),
                include_dashboard=False,
                log_to_driver=False,
                configure_logging=False,
                _temp_dir=_folders[-1],
            )
            break
        except Exception as error:  # Ray defines no narrower class
            stop_ray()
            if not attempts_left:
                reason = str(error).splitlines()[0]
                raise UserError(f"Ray does not start ({reason}): is the machine too busy, or /dev/shm full?") from error
        finally:
            signal.signal(signal.SIGTERM, on_sigterm)  # Ray would exit without cleaning up
    return ray


@functools.cache
def key() -> str:
    """Returns the authentication key of this process for its Ray. Ray reads it once per process."""
    return secrets.token_hex(32)


def stop_ray() -> None:
    """Ends all Ray processes that this process has started, and removes their files."""
    if not _folders:
        return
    sys.modules["ray"].shutdown()
    for process in _processes():  # some outlive a failed start
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    while _folders:
        shutil.rmtree(_folders.pop(), ignore_errors=True)


def _processes() -> List[int]:
    """Returns the processes that were started with the key of this process."""
    variable, processes = f"RAY_AUTH_TOKEN={key()}".encode("ascii"), []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):  # the process has ended or belongs to another user
            if variable in environment.read_bytes().split(b"\0"):
                processes.append(int(environment.parent.name))
    return processes
