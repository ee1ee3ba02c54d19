r"""Removes sentence pairs that are unsuitable for training, and counts the reasons.

    gnmt clean --source europarl.en news.en --target europarl.de news.de \
        --output-prefix clean/train --source-lang en --target-lang de --require-encoding latin-1

Writes clean/train.en, clean/train.de and clean/train.cleaning.json, which contains the counts.
"""

import argparse
from pathlib import Path

from gnmt.corpora.cleaning import CleaningRules, CleanOutputs, clean_corpus
from gnmt.files.process_pool import available_cores


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of the command."""
    rules = CleaningRules()
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
    add("--min-length", type=int, default=rules.min_length, metavar="N", help="minimum number of tokens per side")
    add("--max-length", type=int, default=rules.max_length, metavar="N", help="maximum number of tokens per side")
    add("--max-ratio", type=float, default=rules.max_ratio, metavar="R", help="maximum of longer side / shorter side")
    add(
        "--require-encoding",
        metavar="CODEC",
        help="drop pairs that this codec cannot encode: latin-1 drops other scripts",
    )
    add("--drop-duplicates", action="store_true", help="keep only the first of equal pairs")
    add("--jobs", type=int, default=available_cores(), metavar="N", help="number of processes")
    add("--overwrite", action="store_true", help="replace existing outputs")


def run(args: argparse.Namespace) -> None:
    """Runs the command."""
    report = clean_corpus(
        args.source,
        args.target,
        CleanOutputs.with_prefix(args.output_prefix, args.source_lang, args.target_lang),
        CleaningRules(args.min_length, args.max_length, args.max_ratio, args.require_encoding),
        drop_duplicates=args.drop_duplicates,
        jobs=args.jobs,
        overwrite=args.overwrite,
    )
    print(report.table())
