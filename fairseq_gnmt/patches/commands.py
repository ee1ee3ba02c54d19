"""The `main` functions of fairseq's commands, which see the whole configuration."""
import sys
from types import ModuleType
from typing import Iterator


def loaded_modules(command: str) -> Iterator[ModuleType]:
    """The loaded modules of a command, which loads before its plugin.

    They are fairseq_cli.COMMAND, and __main__ if it was started by `python -m fairseq_cli.COMMAND`.
    """
    name = f"fairseq_cli.{command}"
    main = sys.modules["__main__"]
    if getattr(getattr(main, "__spec__", None), "name", None) == name:
        yield main
    if name in sys.modules:
        yield sys.modules[name]
