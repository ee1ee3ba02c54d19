"""fairseq's commands, which are loaded before the plugin and look up their `main` function after it."""
import sys
from types import ModuleType
from typing import Iterator


def modules_of(command: str) -> Iterator[ModuleType]:
    """Yields the loaded modules of a command: fairseq_cli.NAME, and __main__ if `python -m fairseq_cli.NAME` runs."""
    name = f"fairseq_cli.{command}"
    main = sys.modules["__main__"]
    if getattr(getattr(main, "__spec__", None), "name", None) == name:
        yield main
    if name in sys.modules:
        yield sys.modules[name]
