"""Parsers of commands. A command is a module with `add_arguments(parser)` and `run(arguments)`."""
import argparse
from types import ModuleType

from gnmt.commands.process import run_command


def add_command(commands, name: str, purpose: str) -> argparse.ArgumentParser:
    """Adds a sub-command that writes files to the result of ArgumentParser.add_subparsers."""
    command = commands.add_parser(
        name, help=purpose, description=purpose, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    command.add_argument("--overwrite", action="store_true", help="replace existing outputs")
    return command


def parser_of(command: ModuleType, program: str) -> argparse.ArgumentParser:
    """Returns the parser of a command; `program` is its name in help and errors."""
    purpose = command.__doc__.splitlines()[0]
    parser = argparse.ArgumentParser(
        prog=program, description=purpose, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    command.add_arguments(parser)
    return parser


def run_alone(command: ModuleType, program: str) -> None:
    """Runs a command as the only one of this process."""
    parser = parser_of(command, program)
    run_command(lambda: command.run(parser.parse_args()))
