"""The mixed word/character model: frequent words as they are, all others spelt in characters.

    python -m fairseq_gnmt.data.mixed_word_char train --input train.en train.de --vocab-size 32000 --output mixed.json
    python -m fairseq_gnmt.data.mixed_word_char encode --model mixed.json --input train.en --output train.mixed.en
    python -m fairseq_gnmt.data.mixed_word_char decode --input hypotheses --output text
    python -m fairseq_gnmt.data.mixed_word_char dictionary --model mixed.json --output dict.txt

`spelling.py` says how words are found and spelt. Decoding needs no model and gives back every text that was encoded;
only what fairseq's dictionary does not have, characters outside the model, is lost on the way through a network.
"""
import argparse
import sys
from pathlib import Path
from typing import Sequence

from gnmt.commands.command_line import add_command
from gnmt.commands.process import run_command
from gnmt.files.line_conversion import convert_file
from gnmt.files.outputs import atomic_outputs
from gnmt.files.process_pool import available_cores
from gnmt.tokenizers.word_counts import count_words, share_of
from gnmt.tokenizers.word_tokenizer import decode
from gnmt.tokenizers.word_vocabulary import learn_vocabulary, load_vocabulary, to_json


def train(
    inputs: Sequence[Path],
    vocab_size: int,
    output: Path,
    *,
    character_coverage: float = 1.0,
    jobs: int = 1,
    overwrite: bool = False,
) -> str:
    """Writes the vocabulary of all inputs together; returns a word about it.

    Its dictionary has `vocab_size` tokens, or fewer if the text has not so many words. Raises UserError for inputs that
    cannot be used and for a size that does not hold the characters.
    """
    with atomic_outputs([output], inputs=inputs, overwrite=overwrite) as (file,):
        counts = count_words(inputs, jobs)
        vocabulary = learn_vocabulary(counts, vocab_size, character_coverage)
        file.write(to_json(vocabulary).encode("utf-8"))
    return (
        f"{len(vocabulary.characters):,} characters and {len(vocabulary.words):,} of {len(counts):,} words, "
        f"{share_of(vocabulary.tokens, counts):.2%} of the text"
    )


def write_dictionary(model: Path, output: Path, *, overwrite: bool = False) -> None:
    """Writes fairseq's dictionary of a model: a line `token count` for each of its tokens, in its order.

    All tokens are there, in the training text or not. Each count is 1; translation uses none of them.
    """
    lines = [f"{token} 1\n" for token in load_vocabulary(model).dictionary()]
    with atomic_outputs([output], inputs=[model], overwrite=overwrite) as (file,):
        file.write("".join(lines).encode("utf-8"))


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m fairseq_gnmt.data.mixed_word_char", description="Learn and apply a mixed word/character model."
    )
    commands = parser.add_subparsers(dest="command", required=True)

    learn = add_command(commands, "train", "choose words and characters for all inputs")
    learn.add_argument("--input", type=Path, nargs="+", required=True, metavar="FILE", help="text or .gz")
    learn.add_argument("--vocab-size", type=int, required=True, metavar="N", help="tokens, those of characters included")
    learn.add_argument("--character-coverage", type=float, default=1.0, metavar="R", help="share of the text's letters")
    learn.add_argument("--output", type=Path, required=True, metavar="FILE", help="the model, for example mixed.json")

    encode = add_command(commands, "encode", "text to words and characters, line by line")
    encode.add_argument("--model", type=Path, required=True, metavar="FILE", help="from `train`")
    decoding = add_command(commands, "decode", "words and characters to text, line by line")
    for command in (encode, decoding):
        command.add_argument("--input", type=Path, required=True, metavar="FILE", help="text or .gz")
        command.add_argument("--output", type=Path, required=True, metavar="FILE", help="as many lines")
    for command in (learn, encode, decoding):
        command.add_argument("--jobs", type=int, default=available_cores(), metavar="N", help="processes")

    dictionary = add_command(commands, "dictionary", "fairseq's dictionary of all tokens of a model")
    dictionary.add_argument("--model", type=Path, required=True, metavar="FILE", help="from `train`")
    dictionary.add_argument("--output", type=Path, required=True, metavar="FILE", help="for example dict.txt")
    return parser


def main() -> None:
    args = make_parser().parse_args()
    if args.command == "train":
        coverage, jobs = args.character_coverage, args.jobs
        found = train(
            args.input, args.vocab_size, args.output, character_coverage=coverage, jobs=jobs, overwrite=args.overwrite
        )
        print(found, file=sys.stderr)
    elif args.command == "encode":
        convert, inputs = load_vocabulary(args.model).encode, [args.model]
        convert_file(convert, args.input, args.output, inputs=inputs, jobs=args.jobs, overwrite=args.overwrite)
    elif args.command == "decode":
        convert_file(decode, args.input, args.output, jobs=args.jobs, overwrite=args.overwrite)
    else:
        write_dictionary(args.model, args.output, overwrite=args.overwrite)


if __name__ == "__main__":
    run_command(main)
