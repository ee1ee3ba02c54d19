"""Learns and applies joint subwords (sentencepiece).

Examples:

    gnmt subwords train --input train.en train.de --model-prefix joint --vocab-size 32000
    gnmt subwords encode --model joint.model --input train.en --output train.bpe.en
    gnmt subwords decode --model joint.model --input hypotheses --output text
    gnmt subwords dictionary --model joint.model --output dict.txt
"""

import argparse
import sys
from pathlib import Path

from gnmt.commands.command_line import add_command
from gnmt.commands.conversion_options import add_conversion
from gnmt.tokenizers.subword_training import LINES_IN_MEMORY, train_subwords
from gnmt.tokenizers.subwords import decode_file, encode_file, write_dictionary


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of the command."""
    commands = parser.add_subparsers(dest="command", required=True)

    train = add_command(commands, "train", "learn one model for all inputs")
    train.add_argument("--input", type=Path, nargs="+", required=True, metavar="FILE", help="text or .gz")
    train.add_argument("--model-prefix", required=True, metavar="P", help="writes P.model and P.vocab")
    train.add_argument("--vocab-size", type=int, required=True, metavar="N", help="number of pieces")
    train.add_argument("--model-type", choices=("bpe", "unigram", "char"), default="bpe", help="type of subword model")
    train.add_argument(
        "--character-coverage", type=float, default=1.0, metavar="R", help="share of the text's characters to include"
    )
    train.add_argument(
        "--input-sentence-size",
        type=int,
        default=LINES_IN_MEMORY,
        metavar="N",
        help="maximum lines to learn from",
    )
    train.add_argument("--seed", type=int, default=1, metavar="N", help="random seed for sampling lines")

    for name, purpose in (("encode", "text to pieces, line by line"), ("decode", "pieces to text, line by line")):
        command = add_conversion(commands, name, purpose, workers="threads")
        command.add_argument("--model", type=Path, required=True, metavar="P.model", help="from `train`")

    dictionary = add_command(commands, "dictionary", "fairseq's dictionary of all pieces of a model")
    dictionary.add_argument("--model", type=Path, required=True, metavar="P.model", help="from `train`")
    dictionary.add_argument(
        "--output", type=Path, required=True, metavar="FILE", help="file to write, for example dict.txt"
    )


def run(args: argparse.Namespace) -> None:
    """Runs the command."""
    if args.command == "train":
        print(f"Learning {args.vocab_size} pieces (silent for minutes after a large corpus is read)", file=sys.stderr)
        train_subwords(
            args.input,
            args.model_prefix,
            args.vocab_size,
            model_type=args.model_type,
            character_coverage=args.character_coverage,
            input_sentence_size=args.input_sentence_size,
            seed=args.seed,
            overwrite=args.overwrite,
        )
    elif args.command == "encode":
        encode_file(args.model, args.input, args.output, jobs=args.jobs, overwrite=args.overwrite)
    elif args.command == "decode":
        decode_file(args.model, args.input, args.output, jobs=args.jobs, overwrite=args.overwrite)
    else:
        write_dictionary(args.model, args.output, overwrite=args.overwrite)
