"""Speed of continuous batching against closed batches, with one model folder and one text.

    python benchmarks/benchmark_batching.py MODEL --input test.en --slots 64 --precision fp32 int8 --rounds 7

The contenders run alternately in one process:

    closed, sorted     batches of `slots` sentences of similar length, each until its last sentence is finished
    continuous         sentences join, longest first, as others leave
    closed, random     batches in the order of the text, shuffled
    continuous, random sentences join in shuffled order as others leave

Prints sentences per second and ratios of times as a Markdown table; --json keeps every measurement.
"""

import argparse
import random
import sys
import time
from pathlib import Path
from typing import Callable, Dict, List, Sequence

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the checkout, installed or not

from benchmarking import environment  # noqa: E402
from benchmarking.figures import pairwise_ratio, spread  # noqa: E402
from benchmarking.result_options import add_result_options  # noqa: E402
from gnmt.commands.process import run_command  # noqa: E402
from gnmt.commands.report import check_output, markdown_table, write_json  # noqa: E402
from gnmt.errors import UserError  # noqa: E402
from gnmt.files.lines import read_lines  # noqa: E402
from gnmt.search.search_queue import QueuedSentence  # noqa: E402
from gnmt.translation.options import TranslationOptions  # noqa: E402
from gnmt.translator import Translator  # noqa: E402

CLOSED, CONTINUOUS, CLOSED_RANDOM, CONTINUOUS_RANDOM = (
    "closed, sorted",
    "continuous",
    "closed, random",
    "continuous, random",
)
PAIRS = ((CLOSED, CONTINUOUS), (CLOSED_RANDOM, CONTINUOUS_RANDOM))


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("model", type=Path, metavar="MODEL", help="model folder")
    add("--input", type=Path, required=True, metavar="FILE", help="text, one sentence per line")
    add("--slots", type=int, default=64, metavar="N", help="number of sentences translated at the same time")
    add("--precision", nargs="+", default=["fp32"], metavar="P")
    add("--threads", type=int, default=2, metavar="N")
    add("--rounds", type=int, default=5, metavar="N")
    add_result_options(parser)
    args = parser.parse_args()
    if args.slots < 1 or args.rounds < 1:
        raise UserError("--slots and --rounds must be at least 1.")
    check_output(args.json, args.overwrite)
    return args


def translate(translator: Translator, groups: Sequence[Sequence[QueuedSentence]], slots: int) -> Dict[int, List[int]]:
    """Translates groups of sentences one after the other, and returns the best tokens of each sentence.

    Args:
        translator: loaded model folder.
        groups: sentences of each search.
        slots: number of sentences that are translated at the same time.
    """
    translations: Dict[int, List[int]] = {}
    for group in groups:
        search = translator.search(TranslationOptions(batch_size=slots))
        search.add(group)
        while len(search):
            translations.update(
                (finished.sentence_id, finished.hypotheses[0].tokens.tolist()) for finished in search.step()
            )
    return translations


def contenders(
    translator: Translator, lines: Sequence[str], slots: int
) -> Dict[str, Callable[[], Dict[int, List[int]]]]:
    """Returns a function for each contender, which translates all lines.

    Args:
        translator: loaded model folder.
        lines: lines of text; blank lines are skipped.
        slots: size of a closed batch, and number of slots of continuous batching.
    """
    encoded = [translator.codec.encode(line, 1024) for line in lines if line.strip()]
    queued = [QueuedSentence(number, sentence.ids) for number, sentence in enumerate(encoded)]
    longest_first = sorted(queued, key=lambda sentence: -len(sentence.source))
    shuffled = random.Random(1).sample(queued, len(queued))

    def closed(sentences: Sequence[QueuedSentence]) -> List[Sequence[QueuedSentence]]:
        return [sentences[start : start + slots] for start in range(0, len(sentences), slots)]

    return {
        CLOSED: lambda: translate(translator, closed(longest_first), slots),
        CONTINUOUS: lambda: translate(translator, [longest_first], slots),
        CLOSED_RANDOM: lambda: translate(translator, closed(shuffled), slots),
        CONTINUOUS_RANDOM: lambda: translate(translator, [shuffled], slots),
    }


def main() -> None:
    args = parse_options()
    environment.require_free_machine(args.allow_busy)
    lines, rows, measured = read_lines(args.input), [], {}
    for precision in args.precision:
        translator = Translator.from_pretrained(args.model, precision=precision, threads=args.threads)
        runs = contenders(translator, lines, args.slots)
        seconds: Dict[str, List[float]] = {name: [] for name in runs}
        results = {name: run() for name, run in runs.items()}  # warm-up
        for _ in range(args.rounds):
            for name, run in runs.items():
                start = time.perf_counter()
                run()
                seconds[name].append(time.perf_counter() - start)
        base = results[CLOSED]
        for name in runs:
            base_name = dict((new, old) for old, new in PAIRS).get(name)
            ratio = f"{pairwise_ratio(seconds[base_name], seconds[name]):.2f}" if base_name else ""
            difference_count = sum(base[number] != tokens for number, tokens in results[name].items())
            rate = spread([len(base) / duration for duration in seconds[name]])
            rows.append(
                {
                    "precision": precision,
                    "contender": name,
                    "sentences/s": f"{rate:.1f}",
                    "closed / continuous": ratio,
                    "translations that differ": str(difference_count),
                }
            )
        measured[precision] = seconds
    print(markdown_table(rows))
    if args.json:
        write_json(args.json, {**environment.record(args.threads, "cpu"), "seconds": measured})


if __name__ == "__main__":
    run_command(main)
