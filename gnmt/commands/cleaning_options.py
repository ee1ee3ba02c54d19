"""Options of the rules for training pairs, and of the work of cleaning."""

import argparse

from gnmt.corpora.cleaning_rules import CleaningRules
from gnmt.machine import available_cores


def add_cleaning_options(parser: argparse.ArgumentParser) -> None:
    """Declares the options of a command."""
    rules, add = CleaningRules(), parser.add_argument
    add("--min-length", type=int, default=rules.min_length, metavar="N", help="minimum number of words per side")
    add("--max-length", type=int, default=rules.max_length, metavar="N", help="maximum number of words per side")
    add("--max-ratio", type=float, default=rules.max_ratio, metavar="R", help="maximum of longer side / shorter side")
    add(
        "--require-encoding",
        metavar="CODEC",
        help="drop training pairs that this codec cannot encode: latin-1 drops other scripts",
    )
    add("--drop-duplicates", action="store_true", help="keep only the first of equal training pairs")
    add("--jobs", type=int, default=available_cores(), metavar="N", help="number of processes (default: all cores)")


def cleaning_rules(arguments: argparse.Namespace) -> CleaningRules:
    """Returns the rules of the options.

    Raises:
        UserError: if a rule is invalid.
    """
    return CleaningRules(arguments.min_length, arguments.max_length, arguments.max_ratio, arguments.require_encoding)
