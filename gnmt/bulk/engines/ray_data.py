"""Engine `ray`: actors of Ray on one machine or on a cluster. Needs the extra [ray].

The rows of the data set are numbers of shards, and the results report finished shards. Texts never pass through Ray, so
neither the order of its results nor the merging of its blocks matters. The machines of a cluster must share the file
system with the folder and the models.
"""

import logging
import os
import socket
from pathlib import Path
from typing import Any, Dict, Optional, Sequence

from gnmt.bulk.manifest import BulkFolder, Manifest, read_manifest
from gnmt.bulk.progress import Counter
from gnmt.bulk.resources import Resources
from gnmt.bulk.shard import ShardTranslator
from gnmt.errors import UserError
from gnmt.extras import remedy

CONNECT_SECONDS = 10
CURRENT_CLUSTER = Path("/tmp/ray/ray_current_cluster")  # address of the cluster that `ray start` has started
FREE_CPUS = 1  # for Ray's own tasks, which otherwise never start


class ShardActor:
    """Ray actor that translates the shard of a row and keeps the models in memory.

    Args:
        folder: folder of the shards.
        device: torch device.
        threads: number of torch threads.
    """

    def __init__(self, folder: BulkFolder, device: str, threads: int):
        self._translator = ShardTranslator(folder, read_manifest(folder), device, threads)

    def __call__(self, row: Dict[str, Any]) -> Dict[str, Any]:
        number = int(row["shard"])
        try:
            done = self._translator.translate(number, lambda lines: None)
        except (OSError, RuntimeError, ValueError) as error:  # UserError, and errors of disks, torch and pyarrow
            return {"shard": number, "lines": 0, "problem": str(error)}
        return {"shard": number, "lines": done.lines, "problem": ""}


def run(
    folder: BulkFolder,
    manifest: Manifest,
    todo: Sequence[int],
    resources: Resources,
    counter: Counter,
    address: Optional[str],
) -> Dict[int, str]:
    """Translates shards with actors of Ray.

    Args:
        folder: folder of the shards, on a file system that all machines share.
        manifest: manifest of the folder.
        todo: numbers of the shards.
        resources: number of actors, and the threads and device of each.
        counter: counts translated lines.
        address: address of a running cluster, such as "auto"; None starts Ray on this machine.

    Returns:
        The error message of each failed shard, by its number.

    Raises:
        UserError: if Ray is missing or cannot be reached, or the cluster is too small.
    """
    try:
        import ray
        import ray.data
    except ModuleNotFoundError as error:
        raise UserError(f"The engine ray needs Ray: {remedy('ray')}.") from error
    _connect(ray, resources, address)
    try:
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # errors are raised, too
        context.max_errored_blocks = -1  # a shard that fails does not end the others
        uses_gpu = any(device != "cpu" for device in resources.devices)
        shards = ray.data.from_items([{"shard": number} for number in todo], override_num_blocks=len(todo))
        results = shards.map(
            ShardActor,
            fn_constructor_args=(BulkFolder(folder.path.resolve()), resources.devices[0], resources.threads),
            compute=ray.data.ActorPoolStrategy(size=min(resources.workers, len(todo))),
            num_cpus=resources.threads,
            num_gpus=1 if uses_gpu else 0,
        )
        failures = dict.fromkeys(todo, "its actor failed: read the messages of Ray")
        for row in results.iter_rows():
            counter.add(row["lines"])
            if row["problem"]:
                failures[row["shard"]] = row["problem"]
            else:
                failures.pop(row["shard"], None)
        return failures
    except ray.exceptions.RayError as error:
        reason = str(error).strip().splitlines()[-1].removeprefix(f"{UserError.__module__}.{UserError.__name__}: ")
        raise UserError(f"Ray failed: {reason}") from error
    finally:
        ray.shutdown()


def _connect(ray, resources: Resources, address: Optional[str]) -> None:
    required_cpus = resources.workers * resources.threads + FREE_CPUS
    local_options = {"address": "local", "num_cpus": required_cpus, "include_dashboard": False}
    options: Dict[str, Any] = {"address": address} if address else local_options
    if address:
        _check_listens(address)
    try:
        ray.init(**options, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise UserError(
            f"Ray cannot be reached at {address} ({str(error).splitlines()[0]}): check --address."
        ) from error
    cluster_cpus = ray.cluster_resources().get("CPU", 0)
    if cluster_cpus < required_cpus:
        ray.shutdown()
        raise UserError(
            f"{resources.workers} workers of {resources.threads} threads need {required_cpus} CPUs, {FREE_CPUS} for Ray itself, "
            f"but the cluster has {cluster_cpus:g}: use fewer --workers or --threads."
        )


def _check_listens(address: str) -> None:
    """Checks that a cluster listens at an address; Ray itself would try for over a minute and then end the process.

    Args:
        address: host:port, ray://host:port, or "auto" for the cluster that Ray would find.

    Raises:
        UserError: if nothing listens.
    """
    if address == "auto":
        started = CURRENT_CLUSTER.read_text() if CURRENT_CLUSTER.is_file() else ""
        address = os.environ.get("RAY_ADDRESS") or started.strip()
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdecimal():
        return  # Ray refuses it, or starts a cluster for "local"
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()
    except (OSError, OverflowError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"Ray cannot be reached at {address} ({reason}): check --address, or start it with `ray start --head`."
        ) from error
