"""Hooks into the `main` functions of fairseq's commands, which receive the whole configuration."""

import argparse
import functools
import sys
from types import ModuleType
from typing import Callable, Iterator

from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from omegaconf import DictConfig


def before_main(command: str, act: Callable[[DictConfig], None]) -> None:
    """Makes a command call `act` with its configuration first.

    Args:
        command: "train", "generate", "interactive" or "validate".
        act: may change the configuration, or raise UserError.
    """
    for module in loaded_modules(command):
        module.main = _preceded(module.main, act)  # type: ignore[attr-defined]


def loaded_modules(command: str) -> Iterator[ModuleType]:
    """Yields the loaded modules of a command; commands are loaded before the plugin.

    These are fairseq_cli.COMMAND, and __main__ if the command was started by `python -m fairseq_cli.COMMAND`.
    """
    name = f"fairseq_cli.{command}"
    main = sys.modules["__main__"]
    if getattr(getattr(main, "__spec__", None), "name", None) == name:
        yield main
    if name in sys.modules:
        yield sys.modules[name]


def _preceded(main: Callable, act: Callable[[DictConfig], None]) -> Callable:
    @functools.wraps(main)
    def act_and_run(cfg, *arguments, **keywords):
        if isinstance(cfg, argparse.Namespace):
            cfg = convert_namespace_to_omegaconf(cfg)
        act(cfg)
        return main(cfg, *arguments, **keywords)

    return act_and_run
