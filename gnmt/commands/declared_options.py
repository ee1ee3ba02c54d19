"""Options of commands that are fields of a dataclass, which declares their name, default, range and help."""

import argparse
import dataclasses
from typing import Any, Dict, Sequence, get_args

from gnmt.ranges import DEFAULT, HELP

METAVARS = {int: "N", float: "X", str: "TEXT"}


def add_options(parser: Any, declared: type, names: Sequence[str], several: bool = False) -> None:
    """Declares options of a command.

    The default is part of the help only: an option that is not given is None, see `given_options`.

    Args:
        parser: argparse.ArgumentParser or a group of its options.
        declared: dataclass whose fields were made by `gnmt.ranges.option`.
        names: fields to take.
        several: accept several values of each option.
    """
    fields = {entry.name: entry for entry in dataclasses.fields(declared)}
    for name in names:
        field = fields[name]
        flag, description = f"--{name.replace('_', '-')}", field.metadata[HELP].replace("%", "%%")
        kind: Any = next(iter(get_args(field.type)), field.type)  # of Optional[kind]
        if kind is bool:
            parser.add_argument(flag, action="store_true", default=None, help=description)
            continue
        default = field.metadata.get(DEFAULT, field.default)
        parser.add_argument(
            flag,
            type=kind,
            nargs="+" if several else None,
            metavar=METAVARS[kind],
            help=f"{description} (default: {default})",
        )


def given_options(arguments: argparse.Namespace, names: Sequence[str]) -> Dict[str, Any]:
    """Returns the options that the command line has, by name.

    Args:
        arguments: parsed command line.
        names: names of options; those with value None are left out.
    """
    values = {name: getattr(arguments, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}
