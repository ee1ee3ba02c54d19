"""Checks all options before a command of fairseq reads data.

fairseq ignores many options that its parsers accept. The task sees only its own group of the configuration; the `main`
function of a command sees all of it.
"""
import argparse
import functools
import sys
from types import ModuleType
from typing import Callable, Iterator

from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from omegaconf import DictConfig

from fairseq_gnmt.fairseq_options import GENERATE, INTERACTIVE, TASK, TRAIN, VALIDATE, check_options


def check_options_first() -> None:
    """Puts the check in front of the `main` of each command that is loaded; a command loads before its plugin."""
    for command in (TRAIN, GENERATE, INTERACTIVE, VALIDATE):
        for module in modules_of(command):
            module.main = checked(module.main, command)


def modules_of(command: str) -> Iterator[ModuleType]:
    """The loaded modules of a command: fairseq_cli.NAME, and __main__ if it was started by `python -m fairseq_cli.NAME`."""
    name = f"fairseq_cli.{command}"
    main = sys.modules["__main__"]
    if getattr(getattr(main, "__spec__", None), "name", None) == name:
        yield main
    if name in sys.modules:
        yield sys.modules[name]


def checked(main: Callable, command: str) -> Callable:
    """`main` of a command after a check of its configuration."""

    @functools.wraps(main)
    def check_and_run(cfg, *arguments, **keywords):
        if isinstance(cfg, argparse.Namespace):
            cfg = convert_namespace_to_omegaconf(cfg)
        task = cfg.task._name if cfg.task is not None else None
        if task == TASK or (task is None and command == VALIDATE):  # its task is in the checkpoint
            check_options(cfg, command)
        if command == GENERATE and cfg.dataset.num_shards > 1:
            share_out(cfg)
        return main(cfg, *arguments, **keywords)

    return check_and_run


def share_out(cfg: DictConfig) -> None:
    """Lets fairseq-generate translate one shard of the data: it shares them out by these options, and ignores --num-shards."""
    cfg.distributed_training.distributed_world_size = cfg.dataset.num_shards
    cfg.distributed_training.distributed_rank = cfg.dataset.shard_id
