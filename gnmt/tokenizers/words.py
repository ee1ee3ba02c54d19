"""The word model: text as words and punctuation, and fairseq's dictionary of the most frequent ones.

    python -m fairseq_gnmt.data.words dictionary --input train.en train.de --vocab-size 32000 --output dict.txt
    python -m fairseq_gnmt.data.words encode --input train.en --output train.words.en
    python -m fairseq_gnmt.data.words decode --input hypotheses --output text

There is no model file: `spelling.py` says what a word is, and fairseq takes those outside its dictionary for unknown.
"""
import argparse
import sys
from pathlib import Path
from typing import Sequence

from gnmt.commands.command_line import add_command
from gnmt.commands.process import run_command
from gnmt.errors import UserError
from gnmt.files.line_conversion import convert_file
from gnmt.files.outputs import atomic_outputs
from gnmt.files.process_pool import available_cores
from gnmt.tokenizers.word_counts import by_frequency, count_words, share_of
from gnmt.tokenizers.word_tokenizer import decode, encode_words, word_token


def write_dictionary(
    inputs: Sequence[Path], vocab_size: int, output: Path, *, jobs: int = 1, overwrite: bool = False
) -> str:
    """Writes fairseq's dictionary, a line `token count` for each of the most frequent tokens; returns a word about it.

    It is smaller than `vocab_size` if the text has fewer. Raises UserError for inputs that cannot be used.
    """
    if vocab_size < 1:
        raise UserError(f"--vocab-size is {vocab_size}, but it must be at least 1: 32000 is usual.")
    with atomic_outputs([output], inputs=inputs, overwrite=overwrite) as (file,):
        counts = count_words(inputs, jobs)
        words = by_frequency(counts)[:vocab_size]
        file.write("".join(f"{word_token(word)} {counts[word]}\n" for word in words).encode("utf-8"))
    return f"{len(words):,} of {len(counts):,} words, {share_of(words, counts):.2%} of the text"


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m fairseq_gnmt.data.words", description="Apply a word model.")
    commands = parser.add_subparsers(dest="command", required=True)

    dictionary = add_command(commands, "dictionary", "fairseq's dictionary of the most frequent words")
    dictionary.add_argument("--input", type=Path, nargs="+", required=True, metavar="FILE", help="text or .gz")
    dictionary.add_argument("--vocab-size", type=int, required=True, metavar="N", help="number of words at most")
    dictionary.add_argument("--output", type=Path, required=True, metavar="FILE", help="for example dict.txt")

    for name, purpose in (("encode", "text to words, line by line"), ("decode", "words to text, line by line")):
        command = add_command(commands, name, purpose)
        command.add_argument("--input", type=Path, required=True, metavar="FILE", help="text or .gz")
        command.add_argument("--output", type=Path, required=True, metavar="FILE", help="as many lines")
    for command in commands.choices.values():
        command.add_argument("--jobs", type=int, default=available_cores(), metavar="N", help="processes")
    return parser


def main() -> None:
    args = make_parser().parse_args()
    if args.command == "dictionary":
        found = write_dictionary(args.input, args.vocab_size, args.output, jobs=args.jobs, overwrite=args.overwrite)
        print(found, file=sys.stderr)
    else:
        convert = {"encode": encode_words, "decode": decode}[args.command]
        convert_file(convert, args.input, args.output, jobs=args.jobs, overwrite=args.overwrite)


if __name__ == "__main__":
    run_command(main)
