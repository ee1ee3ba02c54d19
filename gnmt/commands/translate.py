"""Translates text with a model folder: one translation per line, in order.

    gnmt translate MODEL < text.en > text.de
    gnmt translate MODEL text.en more.en --precision int8 --output json

A line is printed as soon as it and all earlier lines are complete, without waiting for further input. Blank lines stay
blank. A line with more tokens than --max-length is truncated, and invalid UTF-8 becomes U+FFFD, both with a warning.
With --output json, a line is a JSON object with the n-best list of each sentence; --attention adds the attention
weights. With --output tsv, each hypothesis is a line: number of the input line, score, text.
"""

import argparse
import json
import sys
from functools import partial
from pathlib import Path

from gnmt.errors import UserError
from gnmt.files.line_source import LineSource
from gnmt.files.lines import one_line

STANDARD_INPUT = Path("-")
ATTENTION_DIGITS = 4  # decimal places in JSON
OPTIONS = ("beam", "nbest", "length_norm_factor", "coverage_penalty", "no_repeat_ngram_size", "replace_unk", "split_sentences",
           "batch_size", "max_length")  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of the command."""
    add = parser.add_argument
    add("model", type=Path, metavar="MODEL", help="model folder")
    add(
        "files",
        type=Path,
        nargs="*",
        metavar="FILE",
        help="text, one sentence or paragraph per line; -: stdin (default: stdin)",
    )
    add(
        "--ensemble",
        type=Path,
        action="append",
        default=[],
        metavar="MODEL",
        help="further model of the ensemble; repeatable",
    )
    add("--precision", metavar="P", help="precision of decoding (default: the model's)")
    add("--device", default="cpu", metavar="D", help="torch device, such as cuda:0")
    add("--threads", type=int, metavar="N", help="number of threads (default: torch's setting)")
    add("--beam", type=int, metavar="N", help="number of hypotheses that continue at each step (default: the model's)")
    add(
        "--nbest",
        type=int,
        default=1,
        metavar="N",
        help="number of translations per sentence, with --output json or tsv",
    )
    add("--length-norm-factor", type=float, metavar="A", help="exponent of the length penalty (default: the model's)")
    add("--coverage-penalty", type=float, metavar="B", help="weight of the coverage penalty (default: the model's)")
    add(
        "--no-repeat-ngram-size",
        type=int,
        default=0,
        metavar="N",
        help="forbid n-grams of this size to occur twice; 0: off",
    )
    add("--replace-unk", action="store_true", help="replace unknown tokens by their aligned source tokens")
    add("--split-sentences", action="store_true", help="split lines into sentences and translate each separately")
    add("--batch-size", type=int, default=64, metavar="N", help="number of sentences translated at the same time")
    add(
        "--max-length",
        type=int,
        default=1024,
        metavar="N",
        help="maximum tokens of a sentence; the rest is truncated",
    )
    add("--output", choices=tuple(FORMS), default="text", help="format of the output")
    add("--attention", action="store_true", help="add attention and source tokens to --output json")


def run(arguments: argparse.Namespace) -> None:
    """Runs the command."""
    if arguments.nbest > 1 and arguments.output == "text":
        raise UserError(f"--nbest {arguments.nbest} needs --output json or tsv: text has one translation per line.")
    if arguments.attention and arguments.output != "json":
        raise UserError(f"--attention needs --output json: {arguments.output} has no place for it.")
    form = as_json_with_attention if arguments.attention else FORMS[arguments.output]
    for path in arguments.files:
        if path != STANDARD_INPUT and not path.exists():
            raise UserError(f"{path} does not exist: check the path.")
    from gnmt.translation.options import TranslationOptions
    from gnmt.translator import Translator

    translator = Translator.from_pretrained(
        [arguments.model, *arguments.ensemble],
        precision=arguments.precision,
        threads=arguments.threads,
        device=arguments.device,
    )
    options = TranslationOptions(**{name: getattr(arguments, name) for name in OPTIONS})
    number = 0
    for path in arguments.files or [STANDARD_INPUT]:
        is_stdin = path == STANDARD_INPUT
        prefix = "" if len(arguments.files) < 2 else f"{path}: "
        with open(0 if is_stdin else path, "rb", buffering=0, closefd=not is_stdin) as stream:
            source = LineSource(stream, partial(warn_of, prefix))
            for translation in translator.stream(source, options):
                number += 1
                if any(sentence.is_truncated for sentence in translation.sentences):
                    warn(
                        f"line {number} has a sentence of more than {arguments.max_length} tokens, "
                        "the rest of which is not translated."
                    )
                sys.stdout.write(form(number, translation))
                sys.stdout.flush()


def warn(sentence: str) -> None:
    """Prints a warning to stderr."""
    print(f"warning: {sentence}", file=sys.stderr, flush=True)


def warn_of(prefix: str, sentence: str) -> None:
    """Prints a warning with the name of its file as a prefix."""
    warn(prefix + sentence)


def as_text(number: int, translation) -> str:
    """Returns the text of a translation as one line."""
    return one_line(translation.text) + "\n"


def as_json(number: int, translation) -> str:
    """Returns a JSON object as one line: number of the input line, text, and the n-best list of each sentence."""
    sentences = [
        {
            "source": sentence.source,
            "truncated": sentence.is_truncated,
            "nbest": [
                {"text": one.text, "score": one.score, "tokens": one.tokens, "positional_scores": one.positional_scores,
                 "word_alignment": one.word_alignment}
                for one in sentence.nbest
            ],
        }
        for sentence in translation.sentences
    ]  # fmt: skip
    content = {"line": number, "text": translation.text, "score": translation.score, "sentences": sentences}
    return json.dumps(content, ensure_ascii=False) + "\n"


def as_json_with_attention(number: int, translation) -> str:
    """Returns the object of `as_json` with the source tokens of each sentence and the attention of each hypothesis.

    The attention has one row per target token and one column per source token, EOS last in both.
    """
    content = json.loads(as_json(number, translation))
    for shown, sentence in zip(content["sentences"], translation.sentences):
        shown["source_tokens"] = sentence.source_tokens
        for entry, hypothesis in zip(shown["nbest"], sentence.nbest):
            rows = hypothesis.attention.tolist()
            entry["attention"] = [[round(weight, ATTENTION_DIGITS) for weight in row] for row in rows]
    return json.dumps(content, ensure_ascii=False) + "\n"


def as_tsv(number: int, translation) -> str:
    """Returns one line per hypothesis: number of the input line, score, text.

    A text of several sentences has one line.
    """
    if len(translation.sentences) == 1 and translation.nbest:
        rows = [(one.score, one.text) for one in translation.nbest]
    else:
        rows = [(translation.score, translation.text)]
    return "".join(f"{number}\t{score:.6f}\t{' '.join(text.split())}\n" for score, text in rows)


FORMS = {"text": as_text, "json": as_json, "tsv": as_tsv}
