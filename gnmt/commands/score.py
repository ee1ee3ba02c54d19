"""Scores translations with BLEU: sacreBLEU's default line and NVIDIA's (lower-cased, intl), each with its signature.

    gnmt score --hypotheses translated.de --references test.de
    gnmt translate MODEL test.en | gnmt score --hypotheses - --references test.de
    gnmt score --generate-log generate.txt --references test.de

All text is detokenised UTF-8, one sentence per line; fairseq-generate prints its log without --quiet.
"""

import argparse
import re
import sys
from pathlib import Path
from typing import Dict, List

from gnmt.errors import UserError
from gnmt.files.lines import read_lines
from gnmt.files.outputs import atomic_outputs

DETOKENISED_LINE = re.compile(r"D-(\d+)\t[^\t]*\t(.*)", re.DOTALL)  # D-<id> <tab> <score> <tab> <text>
STANDARD_INPUT = Path("-")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of the command."""
    translation = parser.add_mutually_exclusive_group(required=True)
    translation.add_argument(
        "--hypotheses", type=Path, metavar="FILE", help="translations, one sentence per line; - is stdin"
    )
    translation.add_argument("--generate-log", type=Path, metavar="FILE", help="output of fairseq-generate")
    parser.add_argument("--references", type=Path, metavar="FILE", required=True, help="human translations")
    parser.add_argument("--output", type=Path, metavar="FILE", help="file for the translations, one per line; replaced")


def run(arguments: argparse.Namespace) -> None:
    """Runs the command."""
    from gnmt.evaluation.bleu import report

    references = read_lines(arguments.references)
    if arguments.generate_log:
        hypotheses = read_generate_log(arguments.generate_log, len(references))
    else:
        hypotheses = read_hypotheses(arguments.hypotheses, len(references))
    if arguments.output:
        inputs = [arguments.references, arguments.generate_log or arguments.hypotheses]
        with atomic_outputs([arguments.output], inputs=inputs, overwrite=True) as (file,):
            file.writelines(f"{line}\n".encode("utf-8") for line in hypotheses)
    print(report(hypotheses, references))


def read_hypotheses(path: Path, count: int) -> List[str]:
    """Returns the `count` translations of a file, or of stdin for the path "-".

    Raises:
        UserError: there are more or fewer lines.
    """
    hypotheses = _lines_of_stdin() if path == STANDARD_INPUT else read_lines(path)
    if len(hypotheses) != count:
        name = "stdin" if path == STANDARD_INPUT else path
        raise UserError(
            f"{name} has {len(hypotheses)} lines for {count} references: translate and score the same file."
        )
    return hypotheses


def read_generate_log(path: Path, count: int) -> List[str]:
    """Returns the best translations of the sentences 0 to `count` - 1, in this order.

    fairseq-generate prints sentences in the order of its batches, and the n-best list of a sentence best first.

    Raises:
        UserError: the log has no translations, or not one for each reference.
    """
    best: Dict[int, str] = {}
    for line in read_lines(path):
        if match := DETOKENISED_LINE.fullmatch(line):
            best.setdefault(int(match[1]), match[2])
    if not best:
        raise UserError(f"{path} has no line D-<id>: give the output of fairseq-generate without --quiet.")
    remedy = "give the references of the subset that was translated"
    if max(best) >= count:
        raise UserError(f"{path} has a line D-{max(best)}, but {count} references end at D-{count - 1}: {remedy}.")
    missing = [sentence for sentence in range(count) if sentence not in best]
    if missing:
        raise UserError(
            f"{path} lacks {len(missing)} of {count} sentences, the first is D-{missing[0]}: "
            f"let fairseq-generate finish, or {remedy}."
        )
    return [best[sentence] for sentence in range(count)]


def _lines_of_stdin() -> List[str]:
    try:
        text = sys.stdin.buffer.read().decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"stdin is not UTF-8 ({error}): convert it, for example with iconv.") from error
    return text.removeprefix("\ufeff").removesuffix("\n").split("\n") if text else []
