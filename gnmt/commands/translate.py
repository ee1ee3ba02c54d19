"""Translates text with a model folder: one translation per line, in order.

    gnmt translate MODEL < text.en > text.de
    gnmt translate MODEL text.en more.en --precision int8 --output json

A line is printed as soon as it and all earlier lines are complete, without waiting for further input. Blank lines stay
blank. A line with more tokens than --max-length is truncated, and invalid UTF-8 becomes U+FFFD, both with a warning.
UTF-16 is refused. With --output json, a line is a JSON object with the n-best list of each sentence; --attention adds
the attention weights. With --output tsv, each hypothesis is a line: number of the input line, score, text. If stderr is
a terminal and stdout is not, the progress in files is shown.
"""

import argparse
import json
import os
import sys
from functools import partial
from io import FileIO
from pathlib import Path
from typing import Sequence

from tqdm import tqdm

from gnmt.commands.declared_options import add_options, given_options
from gnmt.commands.model_options import add_model_options
from gnmt.errors import UserError
from gnmt.files.line_source import LineSource
from gnmt.files.lines import one_line
from gnmt.files.progress import progress_bar
from gnmt.translation.options import TranslationOptions

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
        default=[],
        metavar="FILE",
        help="text, one sentence or paragraph per line; -: stdin (default: stdin)",
    )
    add_model_options(parser, "ensemble", "precision", "device", "threads")
    add_options(parser, TranslationOptions, OPTIONS)
    add("--output", choices=tuple(FORMS), default="text", help="format of the output; --nbest needs json or tsv")
    add("--attention", action="store_true", help="add attention and source tokens to --output json")


def run(arguments: argparse.Namespace) -> None:
    """Runs the command."""
    options = TranslationOptions(**given_options(arguments, OPTIONS))
    if options.nbest > 1 and arguments.output == "text":
        raise UserError(f"--nbest {options.nbest} needs --output json or tsv: text has one translation per line.")
    if arguments.attention and arguments.output != "json":
        raise UserError(f"--attention needs --output json: it cannot be written as {arguments.output}.")
    form = partial(as_json, with_attention=True) if arguments.attention else FORMS[arguments.output]
    for path in arguments.files:
        if path != STANDARD_INPUT and not path.exists():
            raise UserError(f"{path} does not exist: check the path; text is read from standard input or from files.")
    from gnmt.translator import Translator

    translator = Translator.from_pretrained(
        [arguments.model, *arguments.ensemble],
        precision=arguments.precision,
        threads=arguments.threads,
        device=arguments.device,
    )
    number = 0
    with progress_of(arguments.files) as progress:
        for path in arguments.files or [STANDARD_INPUT]:
            prefix = "" if len(arguments.files) < 2 else f"{path}: "
            name = "The input" if path == STANDARD_INPUT else str(path)
            with opened(path) as stream:
                for translation in translator.stream(LineSource(stream, partial(warn_of, prefix), name), options):
                    number += 1
                    if any(sentence.is_truncated for sentence in translation.sentences):
                        warn(
                            f"line {number} has a sentence of more than {options.max_length} tokens, "
                            "the rest of which is not translated."
                        )
                    sys.stdout.write(form(number, translation))
                    sys.stdout.flush()
                    progress.update()


def opened(path: Path) -> FileIO:
    """Opens a file or stdin; prints a hint if stdin is a terminal."""
    if path != STANDARD_INPUT:
        return open(path, "rb", buffering=0)
    if os.isatty(0):
        print("Type text, one sentence or paragraph per line; Ctrl-D ends.", file=sys.stderr, flush=True)
    return open(0, "rb", buffering=0, closefd=False)


def progress_of(paths: Sequence[Path]) -> tqdm:
    """Returns a progress bar for files, which is shown if only stderr is a terminal."""
    is_shown = sys.stderr.isatty() and not sys.stdout.isatty() and bool(paths) and all(map(Path.is_file, paths))
    return progress_bar(total=sum(map(count_lines, paths)) if is_shown else None, unit="lines", is_shown=is_shown)


def count_lines(path: Path) -> int:
    """Returns the number of lines of a text of any encoding."""
    with open(path, "rb") as file:
        return sum(1 for _ in file)


def warn(sentence: str) -> None:
    """Prints a warning to stderr, above the progress bar."""
    tqdm.write(f"warning: {sentence}", file=sys.stderr)


def warn_of(prefix: str, sentence: str) -> None:
    """Prints a warning with the name of its file as a prefix.

    Args:
        prefix: name of the file and a separator.
        sentence: text of the warning.
    """
    warn(prefix + sentence)


def as_text(number: int, translation) -> str:
    """Returns the text of a translation as one line.

    Args:
        number: unused.
        translation: Translation of the line.
    """
    return one_line(translation.text) + "\n"


def as_json(number: int, translation, with_attention: bool = False) -> str:
    """Returns a JSON object as one line: number of the input line, text, and the n-best list of each sentence.

    With attention, each sentence has its source tokens, and each hypothesis its attention weights: one row per target
    token and one column per source token, EOS last in both.

    Args:
        number: number of the input line, from 1.
        translation: Translation of the line.
        with_attention: adds source tokens and attention weights.
    """
    sentences = []
    for sentence in translation.sentences:
        shown = {"source": sentence.source, "is_truncated": sentence.is_truncated, "nbest": []}
        for hypothesis in sentence.nbest:
            entry = {
                "text": hypothesis.text, "score": hypothesis.score, "tokens": hypothesis.tokens,
                "positional_scores": hypothesis.positional_scores, "word_alignment": hypothesis.word_alignment,
            }  # fmt: skip
            if with_attention:
                rows = hypothesis.attention.tolist()
                entry["attention"] = [[round(weight, ATTENTION_DIGITS) for weight in row] for row in rows]
            shown["nbest"].append(entry)
        if with_attention:
            shown["source_tokens"] = sentence.source_tokens
        sentences.append(shown)
    content = {"line": number, "text": translation.text, "score": translation.score, "sentences": sentences}
    return json.dumps(content, ensure_ascii=False) + "\n"


def as_tsv(number: int, translation) -> str:
    """Returns one line per hypothesis: number of the input line, score, text.

    A text of several sentences has one line.

    Args:
        number: number of the input line, from 1.
        translation: Translation of the line.
    """
    if len(translation.sentences) == 1 and translation.nbest:
        rows = [(hypothesis.score, hypothesis.text) for hypothesis in translation.nbest]
    else:
        rows = [(translation.score, translation.text)]
    return "".join(f"{number}\t{score:.6f}\t{' '.join(text.split())}\n" for score, text in rows)


FORMS = {"text": as_text, "json": as_json, "tsv": as_tsv}
