"""Process groups of torch.distributed on this machine."""

import multiprocessing
import os
import tempfile
from pathlib import Path
from typing import Any, Callable, List

import torch
import torch.distributed as dist

SECONDS = 240  # longer runs count as hanging


def run_processes(count: int, function: Callable[..., Any], *arguments) -> List[Any]:
    """Returns the results of a function in several processes, which form gloo's default group."""
    context = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory() as folder:
        processes = [
            context.Process(target=_run, args=(rank, count, Path(folder), function, arguments)) for rank in range(count)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join(SECONDS)
        alive = [process for process in processes if process.is_alive()]
        for process in alive:
            process.kill()
            process.join()
        assert not alive, "the processes did not end in time"
        assert [process.exitcode for process in processes] == [0] * count
        return [torch.load(Path(folder, f"{rank}.pt"), weights_only=True) for rank in range(count)]


def _run(rank: int, count: int, folder: Path, function: Callable[..., Any], arguments: tuple) -> None:
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=count)
    torch.save(function(*arguments), folder / f"{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()
