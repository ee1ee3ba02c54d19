"""Learns and applies the mixed word/character model.

Examples:

    gnmt mixed_word_char train --input train.en train.de --vocab-size 32000 --output mixed.json
    gnmt mixed_word_char encode --model mixed.json --input train.en --output train.mixed.en
    gnmt mixed_word_char decode --input hypotheses --output text
    gnmt mixed_word_char dictionary --model mixed.json --output dict.txt
"""

import argparse
import sys
from pathlib import Path

from gnmt.commands.command_line import add_command
from gnmt.commands.conversion_options import add_conversion
from gnmt.files.line_conversion import convert_file
from gnmt.machine import available_cores
from gnmt.tokenizers.mixed_word_char import train, write_dictionary
from gnmt.tokenizers.word_tokenizer import decode
from gnmt.tokenizers.word_vocabulary import load_vocabulary


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of the command."""
    commands = parser.add_subparsers(dest="command", required=True)

    learn = add_command(commands, "train", "choose words and characters for all inputs")
    learn.add_argument("--input", type=Path, nargs="+", required=True, metavar="FILE", help="text or .gz")
    learn.add_argument(
        "--vocab-size", type=int, required=True, metavar="N", help="number of tokens, including tokens of characters"
    )
    learn.add_argument(
        "--character-coverage", type=float, default=1.0, metavar="R", help="share of the text's characters to include"
    )
    learn.add_argument(
        "--output", type=Path, required=True, metavar="FILE", help="model file to write, for example mixed.json"
    )

    learn.add_argument("--jobs", type=int, default=available_cores(), metavar="N", help="number of processes")

    encode = add_conversion(commands, "encode", "text to words and characters, line by line")
    encode.add_argument("--model", type=Path, required=True, metavar="FILE", help="from `train`")
    add_conversion(commands, "decode", "words and characters to text, line by line")

    dictionary = add_command(commands, "dictionary", "fairseq's dictionary of all tokens of a model")
    dictionary.add_argument("--model", type=Path, required=True, metavar="FILE", help="from `train`")
    dictionary.add_argument(
        "--output", type=Path, required=True, metavar="FILE", help="file to write, for example dict.txt"
    )


def run(args: argparse.Namespace) -> None:
    """Runs the command."""
    if args.command == "train":
        coverage, jobs = args.character_coverage, args.jobs
        summary = train(
            args.input, args.vocab_size, args.output, character_coverage=coverage, jobs=jobs, overwrite=args.overwrite
        )
        print(summary, file=sys.stderr)
    elif args.command == "encode":
        convert, inputs = load_vocabulary(args.model).encode, [args.model]
        convert_file(convert, args.input, args.output, inputs=inputs, jobs=args.jobs, overwrite=args.overwrite)
    elif args.command == "decode":
        convert_file(decode, args.input, args.output, jobs=args.jobs, overwrite=args.overwrite)
    else:
        write_dictionary(args.model, args.output, overwrite=args.overwrite)
