"""The `gnmt` command; `python -m gnmt` is the same."""

import difflib
import os
import sys
from importlib import import_module
from typing import List, NoReturn, Optional

from gnmt import __version__
from gnmt.commands.command_line import run_module
from gnmt.commands.openmp import limit_spinning
from gnmt.commands.process import run_command
from gnmt.errors import UserError

COMMANDS = {  # in the order of a usual workflow
    "prepare": "prepare parallel text for training",
    "train": "train a model on prepared text (needs fairseq)",
    "average": "average checkpoints of one training run",
    "export": "export a checkpoint to a model folder, which works without fairseq",
    "translate": "translate text with a model folder",
    "serve": "serve translations over HTTP, with a page to try them",
    "bulk": "translate large files in shards, resumable, by several processes or machines",
    "score": "score translations, and test whether systems differ",
    "compare": "write a page that shows where two systems differ",
    "rate": "collect human ratings of translations, side by side",
    "grid": "score and time a model under several search options",
    "plot": "draw training curves or attention",
    "bench": "measure the speed of a model folder",
    "info": "describe a model folder",
    "doctor": "check this machine and installation",
    "import": "import a model folder as a checkpoint for fine-tuning",
    "convert": "convert checkpoints of NVIDIA's GNMT v2, in both directions",
    "clean": "remove sentence pairs that are unsuitable for training",
    "subwords": "learn and apply subwords",
    "words": "apply the word model",
    "mixed_word_char": "learn and apply the mixed word/character model",
    "cooccurrence": "compute initial embeddings from a parallel corpus",
}
MODULES = {"import": "import_model"}  # commands with a module of another name, because the command is a Python keyword
WRONG_USAGE = 2  # exit status, as in argparse


def overview() -> str:
    """Returns the text of `gnmt --help`."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {purpose}" for name, purpose in COMMANDS.items()]
    return "\n".join(
        ["usage: gnmt COMMAND [options]", "", "Recurrent neural machine translation (GNMT).", "", "commands:", *lines, "",
         "`gnmt COMMAND --help` lists the options of a command; `gnmt --version` prints the version."]
    )  # fmt: skip


def main(arguments: Optional[List[str]] = None) -> None:
    """Runs one sub-command.

    Exits with 0 after success, 1 after an error, and 2 for a wrong command line.

    Args:
        arguments: command line without the program's name; None means the arguments of this process.
    """
    name, *options = (sys.argv[1:] if arguments is None else arguments) or [""]
    if name in ("-h", "--help"):
        run_command(lambda: print(overview()))
    elif name == "--version":
        run_command(lambda: print(f"gnmt {__version__}"))
    elif name in COMMANDS:
        run_command(lambda: _run(name, options))
    else:
        _refuse(name)


def _run(name: str, options: List[str]) -> None:
    limit_spinning(os.environ)
    try:
        run_module(import_module(f"gnmt.commands.{MODULES.get(name, name)}"), f"gnmt {name}", options)
    except ModuleNotFoundError as error:
        raise UserError(f"The package {error.name} cannot be imported: `gnmt doctor` names the remedy.") from error


def _refuse(name: str) -> NoReturn:
    if not name:
        print(overview(), file=sys.stderr)
    else:
        suggestions = difflib.get_close_matches(name, COMMANDS, n=1)
        remedy = f"did you mean `gnmt {suggestions[0]}`?" if suggestions else "`gnmt --help` lists the commands."
        print(f"error: gnmt has no command {name!r}: {remedy}", file=sys.stderr)
    sys.exit(WRONG_USAGE)


if __name__ == "__main__":
    main()
