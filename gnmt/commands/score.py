"""Scores translations with BLEU, chrF, TER and GLEU, and tests whether systems differ.

    gnmt score --hypotheses translated.de --references test.de
    gnmt translate MODEL test.en | gnmt score --hypotheses - --references test.de
    gnmt score --generate-log generate.txt --references test.de
    gnmt score --hypotheses baseline.de new.de --references test.de --paired ar --metrics bleu chrf gleu --json scores.json

For one system, the command prints two lines: BLEU by sacreBLEU's default and by NVIDIA's convention (lower-cased,
intl), each with its signature. With several systems, or any of --metrics, --confidence, --paired and --json, it prints
a table, followed by the signatures. "31.20 (31.18 ± 1.20)" is a score, the mean of its bootstrap samples and the half
width of their 95 % interval. p is the probability of a larger difference from the first system, the baseline, if both
systems are equally good; * marks p < 0.05.

All text is detokenised UTF-8, one sentence per line; run fairseq-generate without --quiet. A file of hypotheses whose name
ends in .json or .jsonl is read as the output of `gnmt translate --output json`.
"""

import argparse
import re
from dataclasses import asdict
from pathlib import Path
from typing import Dict, List, Sequence

from gnmt.commands.report import check_output, markdown_table, write_json
from gnmt.commands.system_names import system_names
from gnmt.errors import UserError
from gnmt.evaluation.system_output import read_output
from gnmt.files.lines import read_lines, read_standard_input
from gnmt.files.outputs import atomic_outputs
from gnmt.ranges import Range

DETOKENISED_LINE = re.compile(r"D-(\d{1,18})\t[^\t]*\t(.*)", re.DOTALL)  # D-<id> <tab> <score> <tab> <text>
STANDARD_INPUT = Path("-")
METRICS = ("bleu", "nvidia_bleu", "chrf", "ter", "gleu")  # as in gnmt.evaluation.metrics, whose import is slow
TESTS = ("bs", "ar")
SIGNIFICANT = 0.05
TRIALS = Range(minimum=2, maximum=10**6)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of the command."""
    translation = parser.add_mutually_exclusive_group(required=True)
    translation.add_argument(
        "--hypotheses",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="translations of each system, one sentence per line, or .json or .jsonl of `gnmt translate --output json`; "
        "the first is the baseline; - is stdin",
    )
    translation.add_argument("--generate-log", type=Path, metavar="FILE", help="output of fairseq-generate")
    parser.add_argument("--references", type=Path, metavar="FILE", required=True, help="human translations")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="file for the translations, one per line; an existing file is replaced",
    )
    parser.add_argument("--names", nargs="+", metavar="NAME", help="names of the systems (default: file names)")
    parser.add_argument(
        "--metrics", nargs="+", choices=METRICS, help=f"metrics of the table (default: {' '.join(METRICS)})"
    )
    parser.add_argument("--confidence", action="store_true", help="add bootstrap intervals of 95 %%")
    parser.add_argument(
        "--paired", choices=TESTS, help="test against the baseline: bs, paired bootstrap; ar, approximate randomisation"
    )
    parser.add_argument(
        "--trials", type=int, metavar="N", help="number of trials of the test (default: 1000 for bs, 10000 for ar)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="JSON file with all numbers")
    parser.add_argument("--overwrite", action="store_true", help="replace the file of --json")


def run(arguments: argparse.Namespace) -> None:
    """Runs the command."""
    files = [arguments.generate_log] if arguments.generate_log else arguments.hypotheses
    names = system_names(files, arguments.names)
    check_options(arguments, len(files))
    references = read_lines(arguments.references)
    if arguments.generate_log:
        systems = [read_generate_log(arguments.generate_log, len(references))]
    else:
        systems = [read_hypotheses(path, len(references)) for path in files]
    if arguments.output:
        with atomic_outputs([arguments.output], inputs=[arguments.references, *files], overwrite=True) as (file,):
            file.writelines(f"{line}\n".encode("utf-8") for line in systems[0])
    if len(systems) == 1 and not (arguments.metrics or arguments.confidence or arguments.json):
        from gnmt.evaluation.bleu import report

        print(report(systems[0], references))
    else:
        show_table(arguments, names, systems, references)


def check_options(arguments: argparse.Namespace, systems: int) -> None:
    """Checks combinations of options before any file is read.

    Args:
        arguments: options of the command.
        systems: number of systems.

    Raises:
        UserError: for options that cannot be combined.
    """
    if arguments.output and systems > 1:
        raise UserError(
            f"--output is for one system, but there are {systems}: leave it out, because their files contain the "
            "translations."
        )
    if arguments.paired and systems == 1:
        raise UserError(
            f"--paired {arguments.paired} compares systems, but there is one: give --hypotheses BASELINE NEW."
        )
    if arguments.trials is not None:
        if not arguments.paired:
            raise UserError("--trials needs --paired: add it.")
        TRIALS.check("trials", arguments.trials)
    check_output(arguments.json, arguments.overwrite)


def show_table(
    arguments: argparse.Namespace, names: Sequence[str], systems: Sequence[Sequence[str]], references: Sequence[str]
) -> None:
    """Prints the table and the signatures, and writes the file of --json.

    Args:
        arguments: options of the command.
        names: names of the systems.
        systems: translations of each system.
        references: human translations.
    """
    from gnmt.evaluation.metrics import TITLES
    from gnmt.evaluation.significance import RESAMPLES, corpus_scores, paired_scores

    named = list(zip(names, systems))
    metrics = list(dict.fromkeys(arguments.metrics or METRICS))
    resamples = RESAMPLES if arguments.confidence else 0
    if arguments.paired:
        trials = arguments.trials or 0
        scores = paired_scores(named, references, metrics, arguments.paired, trials=trials, resamples=resamples)
    else:
        scores = corpus_scores(named, references, metrics, resamples)
    rows = [
        {"system": name, **{TITLES[metric]: cell(scores[metric].systems[index]) for metric in metrics}}
        for index, name in enumerate(names)
    ]
    print(markdown_table(rows))
    print()
    for metric in metrics:
        print(f"{TITLES[metric]}: {scores[metric].signature}")
    if arguments.json:
        content = {
            "references": str(arguments.references),
            "baseline": names[0],
            "test": arguments.paired,
            "signatures": {metric: scores[metric].signature for metric in metrics},
            "systems": [
                {"name": name, "scores": {metric: asdict(scores[metric].systems[index]) for metric in metrics}}
                for index, name in enumerate(names)
            ],
        }
        write_json(arguments.json, content)


def cell(score) -> str:
    """Returns a MetricScore as text, such as "31.20 (31.18 ± 1.20) p = 0.0123*"."""
    text = f"{score.score:.2f}"
    if score.ci is not None:
        text += f" ({score.mean:.2f} ± {score.ci:.2f})"
    if score.p_value is not None:
        text += f" p = {score.p_value:.4f}" + ("*" if score.p_value < SIGNIFICANT else "")
    return text


def read_hypotheses(path: Path, count: int) -> List[str]:
    """Returns the `count` translations of a file, or of stdin for the path "-".

    Args:
        path: file with one translation per line; for .json and .jsonl, JSON of `gnmt translate --output json`.
        count: number of references.

    Raises:
        UserError: if the number of lines differs, or a line of JSON is not a translation.
    """
    hypotheses = read_standard_input() if path == STANDARD_INPUT else read_output(path).texts
    if len(hypotheses) != count:
        name = "stdin" if path == STANDARD_INPUT else path
        raise UserError(
            f"{name} has {len(hypotheses)} lines for {count} references: translate and score the same file."
        )
    return hypotheses


def read_generate_log(path: Path, count: int) -> List[str]:
    """Returns the best translations of the sentences 0 to `count` - 1, in this order.

    fairseq-generate prints sentences in the order of its batches, and the n-best list of a sentence best first.

    Args:
        path: output of fairseq-generate.
        count: number of references.

    Raises:
        UserError: if the log has no translations, or not one per reference.
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
