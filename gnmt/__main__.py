"""The `gnmt` command, as `python -m gnmt` too."""
import argparse
import sys
from importlib import import_module
from typing import List, Optional

from gnmt import __version__

COMMANDS = {
    "prepare": "prepare parallel text for training",
    "train": "train a model on prepared text (needs fairseq)",
    "translate": "translate text with a model folder",
    "clean": "drop pairs of sentences that are of no use for training",
    "export": "turn a checkpoint into a model folder, which needs no fairseq",
    "info": "describe a model folder",
    "doctor": "check this machine and installation",
}


def overview() -> str:
    """Returns the text of `gnmt --help`."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {purpose}" for name, purpose in COMMANDS.items()]
    return "\n".join(
        ["usage: gnmt COMMAND [options]", "", "Recurrent neural machine translation (GNMT).", "", "commands:", *lines, "",
         "`gnmt COMMAND --help` lists the options of a command; `gnmt --version` prints the version."]
    )


def main(arguments: Optional[List[str]] = None) -> None:
    """Runs one sub-command.

    Args:
        arguments: of the command line without the program's name; those of this process by default.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0] in ("-h", "--help"):
        print(overview())
        return
    name = arguments[0]
    if name == "--version":
        print(f"gnmt {__version__}")
        return
    if name not in COMMANDS:
        sys.exit(f"error: gnmt has no command {name!r}; it has {', '.join(COMMANDS)}.")
    command = import_module(f"gnmt.commands.{name}")
    parser = argparse.ArgumentParser(prog=f"gnmt {name}", description=command.__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_arguments(parser)
    from gnmt.commands.process import run_command

    if getattr(command, "PASSES_OPTIONS_THROUGH", False):
        parsed, further = parser.parse_known_args(arguments[1:])
        run_command(lambda: command.run(parsed, further))
    else:
        parsed = parser.parse_args(arguments[1:])
        run_command(lambda: command.run(parsed))


if __name__ == "__main__":
    main()
