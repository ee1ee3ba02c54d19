"""Command-line parsing of commands. A command is a module with `add_arguments(parser)` and `run(arguments)`.

The module docstring is the description in the help. A module with `PASSES_OPTIONS_THROUGH = True` receives unknown
options as a second argument of `run`. A module with actions, such as `gnmt bulk merge`, can name a default action:
`ACTIONS` and `DEFAULT_ACTION`.
"""

import argparse
import difflib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn, Optional, Sequence

from gnmt.commands.process import run_command
from gnmt.errors import UserError
from gnmt.files.lines import SURROGATES

UNKNOWN = "unrecognized arguments"  # beginning of argparse's message


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Keeps the line breaks of a description, and appends defaults to the help of options unless it contains them."""

    def _get_help_string(self, action: argparse.Action) -> Optional[str]:
        has_default = action.default not in (None, False, "", [], argparse.SUPPRESS)
        return (
            super()._get_help_string(action) if has_default and "(default" not in (action.help or "") else action.help
        )


def add_command(commands, name: str, purpose: str) -> argparse.ArgumentParser:
    """Adds a sub-command that writes files.

    Args:
        commands: result of ArgumentParser.add_subparsers.
        name: name of the sub-command.
        purpose: help text.
    """
    command = commands.add_parser(name, help=purpose, description=purpose, formatter_class=HelpFormatter)
    command.add_argument("--overwrite", action="store_true", help="replace existing outputs")
    return command


class Parser(argparse.ArgumentParser):
    """Parser that suggests a similar option in place of an unknown one."""

    def add_subparsers(self, **options: Any) -> Any:
        """Adds actions; each is parsed by an ActionParser."""
        return super().add_subparsers(**{"parser_class": ActionParser, **options})

    def error(self, message: str) -> NoReturn:
        """Exits with the usage and a message, with a suggestion for an unknown option."""
        unknown = [word.partition("=")[0] for word in message.split() if word.startswith("--")]
        if message.startswith(UNKNOWN) and unknown:
            known = [name for action in self._actions for name in action.option_strings]
            suggestions = difflib.get_close_matches(unknown[0], known, n=1)
            message += f"; did you mean {suggestions[0]}?" if suggestions else ""
        super().error(message)


class ActionParser(Parser):
    """Parser of an action, which itself refuses unknown options; otherwise, the usage of the command would be shown."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parses the arguments of the action; exits with an error for an unknown option."""
        parsed, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"{UNKNOWN}: {' '.join(unknown)}")
        return parsed, unknown


def parser_of(command: ModuleType, program: str) -> argparse.ArgumentParser:
    """Returns the parser of a command; `program` is its name in help and errors."""
    parser = Parser(prog=program, description=command.__doc__, formatter_class=HelpFormatter)
    command.add_arguments(parser)
    return parser


def run_module(command: ModuleType, program: str, arguments: Optional[Sequence[str]] = None) -> None:
    """Parses the arguments of a command and runs it.

    Args:
        command: module of the command.
        program: name of the command in help and errors.
        arguments: command line; None means the arguments of this process.
    """
    parser = parser_of(command, program)
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if hasattr(command, "DEFAULT_ACTION") and arguments and arguments[0] not in (*command.ACTIONS, "-h", "--help"):
        suggestions = difflib.get_close_matches(arguments[0], command.ACTIONS, n=1)
        if suggestions and not Path(arguments[0]).exists():
            parser.error(f"there is no action {arguments[0]!r}: did you mean `{program} {suggestions[0]}`?")
        arguments.insert(0, command.DEFAULT_ACTION)
    passes = getattr(command, "PASSES_OPTIONS_THROUGH", False)
    parsed, *further = parser.parse_known_args(arguments) if passes else [_parsed(parser, arguments)]
    _check_texts(parsed)
    command.run(parsed, *further)


def _parsed(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> argparse.Namespace:
    """Parses options and positional arguments in any order, as in `gnmt translate MODEL --beam 4 text.en`.

    Args:
        parser: parser of the command.
        arguments: command line without the program's name.
    """
    try:
        return parser.parse_intermixed_args(arguments)
    except TypeError:  # the command has actions, with which argparse cannot do this
        return parser.parse_args(arguments)


def _check_texts(parsed: argparse.Namespace) -> None:
    """Checks that options with a text, unlike those with a path, are valid UTF-8, because they are written to files."""
    for name, value in vars(parsed).items():
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and SURROGATES.search(text):
                raise UserError(f"--{name.replace('_', '-')} is {text!r}, which is not UTF-8: write it in UTF-8.")


def run_alone(command: ModuleType, program: str) -> None:
    """Runs a command as the only command of this process.

    Args:
        command: module of the command.
        program: name of the command in help and errors.
    """
    run_command(lambda: run_module(command, program))
