r"""Removes sentence pairs that are unsuitable for training, and counts the reasons.

    gnmt clean --source europarl.en news.en --target europarl.de news.de \
        --output-prefix clean/train --source-lang en --target-lang de --require-encoding latin-1

Writes clean/train.en, clean/train.de and clean/train.cleaning.json, which contains the counts.
"""

import argparse
from pathlib import Path

from gnmt.commands.cleaning_options import add_cleaning_options, cleaning_rules
from gnmt.corpora.cleaning import CleanOutputs, clean_corpus


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of the command."""
    add = parser.add_argument
    add(
        "--source",
        type=Path,
        nargs="+",
        required=True,
        metavar="FILE",
        help="source files, plain or compressed, in this order",
    )
    add("--target", type=Path, nargs="+", required=True, metavar="FILE", help="target files, with corresponding lines")
    add("--output-prefix", required=True, metavar="P", help="writes P.<source-lang>, P.<target-lang>, P.cleaning.json")
    add("--source-lang", required=True)
    add("--target-lang", required=True)
    add_cleaning_options(parser)
    add("--overwrite", action="store_true", help="replace existing outputs")


def run(args: argparse.Namespace) -> None:
    """Runs the command."""
    report = clean_corpus(
        args.source,
        args.target,
        CleanOutputs.with_prefix(args.output_prefix, args.source_lang, args.target_lang),
        cleaning_rules(args),
        drop_duplicates=args.drop_duplicates,
        jobs=args.jobs,
        overwrite=args.overwrite,
    )
    print(report.table())
