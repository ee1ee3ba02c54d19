"""Speed, memory and BLEU of translation: this plugin, fairseq's search and `lstm`, NVIDIA's code, and others.

    python benchmarks/benchmark_translation.py --contenders ours nvidia --nvidia DeepLearningExamples/PyTorch/Translation/GNMT
    python benchmarks/benchmark_translation.py --contenders ours fairseq-search --data DATA --path CHECKPOINT --batch 64 \\
        --post-process sentencepiece

Networks have random weights, unless --path names a trained checkpoint of this plugin. With random weights, the number
of steps of a batch is the number of tokens of its longest target. The contenders run alternately, each in its own
process. Peak memory is the memory of the whole process during translation, including about 350 MiB for Python, torch
and fairseq. Prints a Markdown table; --json stores every measurement and the environment.
"""

import argparse
import logging
import sys
from pathlib import Path
from typing import Any, Dict, List

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the checkout, installed or not
logging.disable(logging.INFO)  # hides fairseq's and NVIDIA's messages about the models that they build

from benchmarking import environment  # noqa: E402
from benchmarking.command_line import (  # noqa: E402
    add_options, check_options, expand, load_workload, origin_of_batches,
)  # fmt: skip
from benchmarking.contenders.setting import SearchSetting, Setting  # noqa: E402
from benchmarking.operations import NetworkSize  # noqa: E402
from gnmt.commands.report import check_output, markdown_table, write_json  # noqa: E402
from benchmarking.session import as_json, measure  # noqa: E402
from benchmarking.translation_figures import TranslationFigures  # noqa: E402
from benchmarking.translation_checks import TranslationChecks  # noqa: E402
from gnmt.commands.process import run_command  # noqa: E402
from gnmt.errors import UserError  # noqa: E402
from gnmt.files.lines import read_lines  # noqa: E402

MODULES = {
    "ours": "ours",
    "fairseq-search": "fairseq_search",
    "fairseq-lstm": "fairseq_lstm",
    "nvidia": "nvidia",
    "opennmt": "opennmt",
    "ctranslate2": "ctranslate2_transformer",
}
PRECISIONS = {  # CTranslate2 has no bf16 on a CPU
    "ours": ("fp32", "bf16", "int8", "fp16"),
    "nvidia": ("fp32", "fp16"),
    "ctranslate2": ("fp32", "int8"),
}
OTHER_NETWORKS = ("fairseq-lstm", "opennmt", "ctranslate2")


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser, list(MODULES), PRECISIONS)
    search = parser.add_argument_group("search")
    search.add_argument("--beam", type=int, default=5)
    search.add_argument(
        "--max-len-a",
        type=float,
        default=0.0,
        help="with --path: a in the maximum number of tokens, a x source length + b",
    )
    search.add_argument("--max-len-b", type=int, default=200)
    trained = parser.add_argument_group("trained networks")
    trained.add_argument("--path", type=Path, metavar="CHECKPOINT", help="checkpoint of this plugin, trained on --data")
    trained.add_argument(
        "--fairseq-lstm-path", type=Path, metavar="CHECKPOINT", help="checkpoint of fairseq's lstm, for BLEU"
    )
    trained.add_argument("--split", default="test", help="of --data")
    trained.add_argument("--post-process", metavar="SCHEME", help="scheme that joins subwords, as for fairseq-generate")
    trained.add_argument(
        "--references", type=Path, metavar="FILE", help="raw text for BLEU (default: the split's targets)"
    )
    args = parser.parse_args()
    check_options(args, PRECISIONS)
    check_trained(args)
    if args.beam < 1:
        raise UserError(f"--beam is {args.beam}, but must be at least 1.")
    check_output(args.json, args.overwrite)
    return args


def check_trained(args: argparse.Namespace) -> None:
    for path in (args.path, args.fairseq_lstm_path, args.references):
        if path is not None and not path.is_file():
            raise UserError(f"{path} does not exist.")
    if args.path is None:
        if args.fairseq_lstm_path or args.references or args.post_process:
            raise UserError("--fairseq-lstm-path, --references and --post-process require --path: all trained or none.")
        return
    if args.data is None:
        raise UserError("--path needs --data, the folder of fairseq-preprocess with the dictionaries of its training.")
    if "fairseq-lstm" in args.contenders and args.fairseq_lstm_path is None:
        raise UserError(
            "fairseq-lstm needs --fairseq-lstm-path, because --path is given: random weights have no meaningful BLEU."
        )
    untrained = sorted({"opennmt", "ctranslate2"} & set(args.contenders))
    if untrained:
        raise UserError(
            f"{' and '.join(untrained)} run with random weights only: leave --path out to compare with them."
        )


def contenders_of(args: argparse.Namespace, setting: Setting) -> list:
    """Returns the contenders; fairseq's lstm has its own checkpoint.

    Args:
        args: options of the command line.
        setting: network, batches and search of all contenders.
    """
    contenders = expand(args, "translator", setting, MODULES, PRECISIONS)
    lstm_setting = setting._replace(checkpoint=args.fairseq_lstm_path)
    return [
        contender._replace(setting=lstm_setting) if contender.name == "fairseq-lstm" else contender
        for contender in contenders
    ]


def describe(args: argparse.Namespace, setting: Setting) -> str:
    network = f"hidden size {args.hidden}, {args.layers} + {args.layers} layers, random weights"
    if args.path:
        network = args.path.name
    sentences = sum(len(batch.sources) for batch in setting.batches)
    steps = "one step per token of a batch's longest target" if setting.forced else "until all sentences have ended"
    return (
        f"Translation, {network}, vocabulary {len(setting.dictionary)}, beam {args.beam}, {sentences} sentences in batches "
        f"of {args.batch} ({origin_of_batches(args)}; {steps}), {args.threads} threads; median (least - most) of {args.repetitions}."
    )


def read_references(path: Path, split: str, sentences: int) -> List[str]:
    """Returns the references. Raises UserError if their number does not match the split.

    Args:
        path: file with one reference per line.
        split: name of the data split, for the message.
        sentences: expected number of references.
    """
    references = read_lines(path)
    if len(references) != sentences:
        raise UserError(
            f"{path} has {len(references)} lines, but the split {split} {sentences} sentences: give the references of this "
            "split."
        )
    return references


def main() -> None:
    args = parse_options()
    warning = environment.require_free_machine(args.allow_busy)
    machine = environment.record(args.threads, args.device)
    dictionary, batches, sentences = load_workload(args, args.split, (1, None))
    size = NetworkSize(args.hidden, args.layers, len(dictionary))
    search = SearchSetting(args.beam, args.max_len_a, args.max_len_b)
    setting = Setting(
        size, dictionary, batches, 0.0, args.threads,
        seed=args.seed, search=search, checkpoint=args.path, data=args.data, nvidia=args.nvidia, device=args.device,
    )  # fmt: skip
    references = read_references(args.references, args.split, sentences) if args.references else None

    # The check translates all batches once, which is also a warm-up round.
    check = TranslationChecks(batches, args.beam, setting.forced, OTHER_NETWORKS)
    measured = measure(contenders_of(args, setting), args.threads, max(args.warm_up - 1, 0), args.repetitions, check)
    figures = TranslationFigures(measured, setting, OTHER_NETWORKS, args.post_process, references)
    table = figures.rows()
    warnings = [text for text in (warning, environment.disturbance(measured.others)) if text]
    notes = [*check.sentences, *figures.notes(), *warnings]
    print("\n".join([describe(args, setting), *notes, "", markdown_table(table)]))
    print(f"\nPeak: {measured.peak_operations / 1e9:.0f} GFLOP/s in float32 matrix products of the same run.")
    if args.json:
        content: Dict[str, Any] = {"environment": machine, "options": vars(args), "checks": check.sentences}
        write_json(
            args.json, {**content, "warnings": warnings, "table": table, **figures.as_json(), **as_json(measured)}
        )


if __name__ == "__main__":
    run_command(main)
