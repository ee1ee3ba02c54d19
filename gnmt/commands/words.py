"""Applies the word model: text as words and punctuation, and a dictionary of the most frequent words.

Examples:

    gnmt words dictionary --input train.en train.de --vocab-size 32000 --output dict.txt
    gnmt words encode --input train.en --output train.words.en
    gnmt words decode --input hypotheses --output text
"""

import argparse
import sys
from pathlib import Path

from gnmt.commands.command_line import add_command
from gnmt.commands.conversion_options import add_conversion
from gnmt.files.line_conversion import convert_file
from gnmt.machine import available_cores
from gnmt.tokenizers.word_tokenizer import decode, encode_words
from gnmt.tokenizers.words import write_dictionary


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of the command."""
    commands = parser.add_subparsers(dest="command", required=True)

    dictionary = add_command(commands, "dictionary", "fairseq's dictionary of the most frequent words")
    dictionary.add_argument("--input", type=Path, nargs="+", required=True, metavar="FILE", help="text or .gz")
    dictionary.add_argument("--vocab-size", type=int, required=True, metavar="N", help="maximum number of words")
    dictionary.add_argument(
        "--output", type=Path, required=True, metavar="FILE", help="file to write, for example dict.txt"
    )

    dictionary.add_argument("--jobs", type=int, default=available_cores(), metavar="N", help="number of processes")

    add_conversion(commands, "encode", "text to words, line by line")
    add_conversion(commands, "decode", "words to text, line by line")


def run(args: argparse.Namespace) -> None:
    """Runs the command."""
    if args.command == "dictionary":
        summary = write_dictionary(args.input, args.vocab_size, args.output, jobs=args.jobs, overwrite=args.overwrite)
        print(summary, file=sys.stderr)
    else:
        convert = {"encode": encode_words, "decode": decode}[args.command]
        convert_file(convert, args.input, args.output, jobs=args.jobs, overwrite=args.overwrite)
