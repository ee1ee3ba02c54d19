"""Writes a page with the differences of two systems: scores by length and word frequency, gains, losses, examples.

    gnmt compare test.de baseline.de new.de --source test.en --page comparison.html
    gnmt translate MODEL test.en --output json --attention > new.jsonl
    gnmt compare test.de baseline.de new.jsonl --page comparison.html

The page is one HTML file without scripts and external resources. Files ending in .json or .jsonl contain the output of
`gnmt translate --output json`; with --attention the page shows the attention of the examples.
"""

import argparse
from collections import Counter
from itertools import chain
from pathlib import Path
from typing import Dict, List, Optional

from gnmt.commands.system_names import system_names
from gnmt.errors import UserError
from gnmt.files.lines import count_lines, read_chunks, read_lines, split_lines
from gnmt.files.outputs import atomic_outputs
from gnmt.ranges import Range

METRICS = ("bleu", "chrf", "ter", "gleu")
EXAMPLES = Range(minimum=1, maximum=1000)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of the command."""
    parser.add_argument("reference", type=Path, metavar="REFERENCE", help="human translations, one sentence per line")
    parser.add_argument("a", type=Path, metavar="A", help="translations of the baseline, text or JSON lines")
    parser.add_argument("b", type=Path, metavar="B", help="translations of the other system, text or JSON lines")
    parser.add_argument("--source", type=Path, metavar="FILE", help="source sentences")
    parser.add_argument("--training", type=Path, metavar="FILE",
                        help="training text of the target language for word counts (default: REFERENCE)")  # fmt: skip
    parser.add_argument("--names", nargs=2, metavar=("A", "B"), help="names of the systems (default: file names)")
    parser.add_argument(
        "--examples", type=int, default=20, metavar="N", help="maximum number of sentences in each list"
    )
    parser.add_argument("--page", type=Path, required=True, metavar="FILE.html", help="page to write")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing page")


def run(arguments: argparse.Namespace) -> None:
    """Runs the command."""
    from gnmt.evaluation.comparison import compare
    from gnmt.evaluation.comparison_page import comparison_page
    from gnmt.evaluation.significance import paired_scores
    from gnmt.evaluation.system_output import read_output

    EXAMPLES.check("examples", arguments.examples)
    names = system_names([arguments.a, arguments.b], arguments.names)
    texts = [path for path in (arguments.source, arguments.training) if path]
    inputs = [arguments.reference, arguments.a, arguments.b, *texts]
    with atomic_outputs([arguments.page], inputs=inputs, overwrite=arguments.overwrite) as (file,):
        references = read_lines(arguments.reference)
        a, b = (read_output(path) for path in (arguments.a, arguments.b))
        sources = read_lines(arguments.source) if arguments.source else None
        check_lengths(len(references), {arguments.a: a.texts, arguments.b: b.texts, arguments.source: sources})
        scores = paired_scores([(names[0], a.texts), (names[1], b.texts)], references, METRICS, "bs")
        counts = word_counts(arguments.training) if arguments.training else None
        comparison = compare(references, (a.texts, b.texts), sources, counts)
        counted = arguments.training.name if arguments.training else "the references"
        system_pair = (names[0], names[1])
        page = comparison_page(
            system_pair, comparison, scores, (a.attentions, b.attentions), arguments.examples, counted
        )
        file.write(page.encode("utf-8"))
    differences = [sentence.difference for sentence in comparison.sentences]
    better, worse = sum(x > 0 for x in differences), sum(x < 0 for x in differences)
    print(f"{arguments.page}: {names[1]} is better in {better} and worse in {worse} of {len(differences)} sentences")


def check_lengths(count: int, files: Dict[Path, Optional[List[str]]]) -> None:
    """Checks that each file has one line per reference.

    Args:
        count: number of references.
        files: lines of each file; None for a file that is not given.

    Raises:
        UserError: for the first file with another number of lines.
    """
    for path, lines in files.items():
        if lines is not None and len(lines) != count:
            raise UserError(f"{path} has {len(lines)} lines for {count} references: give files of the same sentences.")


def word_counts(path: Path) -> Dict[str, int]:
    """Returns the count of each word (13a) in a file, which is read in chunks."""
    from gnmt.evaluation.comparison import words_of

    count_lines(path)  # raises for a file that is not UTF-8
    counts: Counter = Counter()
    for chunk in read_chunks(path):
        counts.update(chain.from_iterable(words_of(split_lines(chunk))))
    return counts
