"""Commands with subcommands, as `python -m fairseq_gnmt.data.subwords encode`."""
import argparse


def add_command(commands, name: str, purpose: str) -> argparse.ArgumentParser:
    """A subcommand that writes files, of what ArgumentParser.add_subparsers gave."""
    command = commands.add_parser(
        name, help=purpose, description=purpose, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    command.add_argument("--overwrite", action="store_true", help="replace existing outputs")
    return command
