"""Translates text with a model folder: one translation per line, in order.

    gnmt translate MODEL < text.en > text.de
    gnmt translate MODEL text.en --precision int8 --output json

A line is printed as soon as it and all earlier ones are done.
"""
import argparse
import json
import os
import sys
from pathlib import Path
from typing import BinaryIO, Iterator, List

BATCHES_AHEAD = 16  # lines that are there already are sorted by length within so many batches


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of the command."""
    parser.add_argument("model", type=Path, help="model folder")
    parser.add_argument("file", type=Path, nargs="?", help="text, one sentence or paragraph per line (default: stdin)")
    parser.add_argument("--ensemble", type=Path, nargs="+", default=[], metavar="MODEL", help="further models, which are averaged")
    parser.add_argument("--precision", help="fp32 or int8 (default: the precision that the model is stored in)")
    parser.add_argument("--threads", type=int, metavar="N", help="threads (default: torch's choice)")
    parser.add_argument("--beam", type=int, metavar="N", help="hypotheses kept at each step (default: the model's)")
    parser.add_argument("--nbest", type=int, default=1, metavar="N", help="translations of each line, with --output json or tsv")
    parser.add_argument("--length-norm-factor", type=float, metavar="A", help="exponent of the length penalty")
    parser.add_argument("--coverage-penalty", type=float, metavar="B", help="weight of the coverage penalty")
    parser.add_argument("--no-repeat-ngram-size", type=int, default=0, metavar="N", help="no n-gram of this size occurs twice")
    parser.add_argument("--replace-unk", action="store_true", help="replace unknown tokens by source tokens")
    parser.add_argument("--split-sentences", action="store_true", help="translate each sentence of a line by itself")
    parser.add_argument("--batch-size", type=int, default=64, metavar="N", help="sentences translated at the same time")
    parser.add_argument("--output", choices=("text", "json", "tsv"), default="text", help="form of a line")


def run(arguments: argparse.Namespace) -> None:
    """Runs the command."""
    from gnmt.translator import Translator

    folders = [arguments.model, *arguments.ensemble]
    translator = Translator.from_pretrained(folders, precision=arguments.precision, threads=arguments.threads)
    options = {
        name: getattr(arguments, name)
        for name in ("beam", "nbest", "length_norm_factor", "coverage_penalty", "no_repeat_ngram_size", "replace_unk",
                     "split_sentences", "batch_size")
    }  # fmt: skip
    with open(arguments.file or 0, "rb", closefd=arguments.file is not None) as source:
        for lines in available_lines(source, BATCHES_AHEAD * arguments.batch_size):
            for translation in translator.translate(lines, **options):
                sys.stdout.write(FORMS[arguments.output](translation))
            sys.stdout.flush()


def available_lines(source: BinaryIO, most: int) -> Iterator[List[str]]:
    """Yields the complete lines that can be read without waiting, at most `most` at a time.

    Bytes that are not UTF-8 become U+FFFD.
    """
    rest = b""
    while chunk := os.read(source.fileno(), 1 << 16):
        *complete, rest = (rest + chunk).split(b"\n")
        for start in range(0, len(complete), most):
            yield [line.decode("utf-8", errors="replace") for line in complete[start : start + most]]
    if rest:
        yield [rest.decode("utf-8", errors="replace")]


def as_text(translation) -> str:
    """Returns the text as one line."""
    return " ".join(translation.text.split("\n")) + "\n"


def as_json(translation) -> str:
    """Returns a JSON object as one line: the text, and the n-best of each sentence."""
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
    return json.dumps({"text": translation.text, "score": translation.score, "sentences": sentences}, ensure_ascii=False) + "\n"


def as_tsv(translation) -> str:
    """Returns score, tab and text of each candidate in lines of their own; for a text of several sentences, of the text."""
    if len(translation.sentences) == 1 and translation.nbest:
        rows = [(one.score, one.text) for one in translation.nbest]
    else:
        rows = [(translation.score, translation.text)]
    return "".join(f"{score:.6f}\t{' '.join(text.split())}\n" for score, text in rows)


FORMS = {"text": as_text, "json": as_json, "tsv": as_tsv}
