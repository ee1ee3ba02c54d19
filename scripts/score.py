"""BLEU of a translation: sacreBLEU's default line and NVIDIA's (lower-cased, intl), each with its signature.

    python scripts/score.py --hypotheses translated.de --references test.de
    python scripts/score.py --generate-log generate.txt --references test.de

All text is detokenised UTF-8, one sentence a line; fairseq-generate's log is what it prints without --quiet.
"""
import argparse
import re
import sys
from pathlib import Path
from typing import Dict, List

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the checkout, installed or not

from gnmt.evaluation.bleu import report  # noqa: E402
from gnmt.commands.process import run_command  # noqa: E402
from gnmt.errors import UserError  # noqa: E402
from gnmt.files.lines import read_lines  # noqa: E402
from gnmt.files.outputs import atomic_outputs  # noqa: E402

DETOKENISED_LINE = re.compile(r"D-(\d+)\t[^\t]*\t(.*)", re.DOTALL)  # D-<id> <tab> <score> <tab> <text>


def read_hypotheses(path: Path, count: int) -> List[str]:
    """The `count` translations of a file with one sentence a line."""
    hypotheses = read_lines(path)
    if len(hypotheses) != count:
        raise UserError(f"{path} has {len(hypotheses)} lines for {count} references: translate and score the same file.")
    return hypotheses


def read_generate_log(path: Path, count: int) -> List[str]:
    """The best translations of the sentences 0 to `count` - 1, in this order.

    fairseq-generate prints the sentences in the order of its batches and the n best of a sentence best first.
    """
    best: Dict[int, str] = {}
    for line in read_lines(path):
        if match := DETOKENISED_LINE.fullmatch(line):
            best.setdefault(int(match[1]), match[2])
    if not best:
        raise UserError(f"{path} has no line D-<id>: give what fairseq-generate printed without --quiet.")
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    translation = parser.add_mutually_exclusive_group(required=True)
    translation.add_argument("--hypotheses", type=Path, metavar="FILE", help="translations, one sentence a line")
    translation.add_argument("--generate-log", type=Path, metavar="FILE", help="what fairseq-generate printed")
    parser.add_argument("--references", type=Path, metavar="FILE", required=True, help="human translations")
    parser.add_argument("--output", type=Path, metavar="FILE", help="writes the translations, one sentence a line; replaced")
    arguments = parser.parse_args()

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


if __name__ == "__main__":
    run_command(main)
