"""Scores and times a model, or an ensemble, with every combination of search options.

    gnmt grid MODEL --source valid.en --references valid.de --length-norm-factor 0 0.6 1 --coverage-penalty 0 0.1 0.2
    gnmt grid MODEL MODEL2 --source valid.en --references valid.de --beam 1 5 12 --json grid.json

Prints a Markdown table: BLEU (sacreBLEU's default), the mean sentence GLEU (0 to 100), the length ratio and the time in
seconds. The line below is the log-perplexity of the references (natural logarithm, per token) in the precision of the
search. Choose options on a validation set, and report results on another set.
"""

import argparse
import itertools
import time
from pathlib import Path
from typing import Any, Dict, Iterable, List, Sequence

from tqdm import tqdm

from gnmt.commands.declared_options import add_options, given_options
from gnmt.commands.model_options import add_model_options
from gnmt.commands.report import check_output, markdown_table, write_json
from gnmt.errors import UserError
from gnmt.evaluation.bleu import corpus_bleu
from gnmt.evaluation.search_figures import combinations, figures, row
from gnmt.files.lines import read_lines
from gnmt.translation.options import TranslationOptions
from gnmt.translator import Translator

VARIED = ("beam", "length_norm_factor", "coverage_penalty", "no_repeat_ngram_size", "prune_tokens",
          "prune_hypotheses")  # fmt: skip
WARM_UP = 4  # sentences


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of the command."""
    parser.add_argument("models", type=Path, nargs="+", metavar="MODEL", help="model folder; several make an ensemble")
    parser.add_argument("--source", type=Path, required=True, metavar="FILE", help="text, one sentence per line")
    parser.add_argument(
        "--references", type=Path, required=True, metavar="FILE", help="human translations, one per line"
    )
    add_options(parser, TranslationOptions, VARIED, several=True)
    add_options(parser, TranslationOptions, ["batch_size"])
    add_model_options(parser, "precision", "threads")
    parser.add_argument("--json", type=Path, metavar="FILE", help="file for all numbers")
    parser.add_argument("--overwrite", action="store_true", help="replace the file of --json")


def run(arguments: argparse.Namespace) -> None:
    """Runs the command."""
    check_output(arguments.json, arguments.overwrite)
    sources, references = read_lines(arguments.source), read_lines(arguments.references)
    if len(sources) != len(references):
        raise UserError(
            f"{arguments.references} has {len(references)} lines, but {arguments.source} has {len(sources)}: "
            "give the translation of each line."
        )
    translator = Translator.from_pretrained(arguments.models, precision=arguments.precision, threads=arguments.threads)
    given = given_options(arguments, VARIED)
    searches = combinations(given)
    batch_size = TranslationOptions(**given_options(arguments, ["batch_size"])).batch_size
    for options in searches:  # warms up, and reports values out of range before the work starts
        translator.translate(sources[:WARM_UP], batch_size=batch_size, **options)
    measured = [measure(translator, options, sources, references, batch_size) for options in _progress(searches)]
    print(markdown_table([row(search, given) for search in measured]))
    scores = list(itertools.chain.from_iterable(translator.score(sources, references, batch_size)))
    log_perplexity, (_, signature) = -sum(scores) / len(scores), corpus_bleu(references, references)
    print(f"\n{signature}; log-perplexity of the references {log_perplexity:.4f}")
    if arguments.json:
        results = {"signature": signature, "log_perplexity": log_perplexity, "measured": measured}
        write_json(arguments.json, {"options": vars(arguments), **results})


def measure(
    translator: Translator, options: Dict[str, Any], sources: Sequence[str], references: Sequence[str], batch_size: int
) -> Dict[str, Any]:
    """Translates the sources.

    Args:
        translator: model or ensemble.
        options: search options.
        sources: source sentences.
        references: human translations.
        batch_size: number of sentences translated at the same time.

    Returns:
        Options, scores and seconds by name.
    """
    start = time.perf_counter()
    texts = [translation.text for translation in translator.translate(sources, batch_size=batch_size, **options)]
    seconds = time.perf_counter() - start
    return figures(options, texts, references, seconds)


def _progress(searches: List[Dict[str, Any]]) -> Iterable[Dict[str, Any]]:
    return tqdm(searches, desc="searches", leave=False, disable=None)  # None: only on a terminal
