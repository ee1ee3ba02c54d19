"""Computes initial embeddings of tokens from co-occurrence statistics of a parallel corpus.

Example:

    gnmt cooccurrence --source train.en --target train.de --dictionary dict.txt --size 256 --output embeddings.txt
"""

import argparse
import sys
from pathlib import Path

from gnmt.corpora.cooccurrence import write_vectors


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of the command."""
    add = parser.add_argument
    add(
        "--source", type=Path, required=True, metavar="FILE", help="source training text in tokens, plain or compressed"
    )
    add(
        "--target",
        type=Path,
        required=True,
        metavar="FILE",
        help="target training text in tokens, with corresponding lines",
    )
    add(
        "--dictionary",
        type=Path,
        required=True,
        metavar="FILE",
        help="dictionary of both languages, from fairseq-preprocess",
    )
    add("--size", type=int, required=True, metavar="D", help="size of a vector: --hidden-size of the network")
    add(
        "--output",
        type=Path,
        required=True,
        metavar="FILE",
        help="file to write, for --pretrained-embeddings of fairseq-train",
    )
    add("--overwrite", action="store_true", help="replace an existing output")


def run(args: argparse.Namespace) -> None:
    """Runs the command."""
    written = write_vectors(args.source, args.target, args.dictionary, args.size, args.output, overwrite=args.overwrite)
    print(written, file=sys.stderr)
