"""Speed of `gnmt bulk` against fairseq-interactive: lines per second of one file with one model.

    python benchmarks/bulk_speed.py MODEL DATA CHECKPOINT --input test.en --buffer 20000 --batch-size 64 --threads 2 \\
        --bpe sentencepiece --sentencepiece-model joint.spm

MODEL is the model folder exported from CHECKPOINT, and DATA the binarised data of its training. Other options are passed to
fairseq-interactive. Both programs have the same buffer (`--lines-per-shard` and `--buffer-size`), batch size, beam,
precision and number of threads. They run alternately, as whole processes. Two speeds are printed: lines per second of
the whole run, and of the run without its start. The time without the start is the time of the whole file minus the time
of its first line. --distinct leaves out repeated lines, which `gnmt bulk` translates once and fairseq-interactive every
time.

Prints a Markdown table and the number of lines with different translations; --json stores every measurement.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Dict, List, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the checkout, installed or not

from benchmarking import environment  # noqa: E402
from benchmarking.figures import pairwise_ratio, spread  # noqa: E402
from benchmarking.result_options import add_result_options  # noqa: E402
from gnmt.commands.process import run_command  # noqa: E402
from gnmt.commands.report import check_output, markdown_table, write_json  # noqa: E402
from gnmt.errors import UserError  # noqa: E402
from gnmt.files.lines import read_lines  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
FAIRSEQ, BULK = "fairseq-interactive", "gnmt bulk"
ANSWER = re.compile(r"^D-(\d+)\t\S+\t(.*)$", re.MULTILINE)


class Run(NamedTuple):
    """One run of a program."""

    seconds: float
    lines: List[str]


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("model", type=Path, metavar="MODEL", help="model folder")
    add("data", type=Path, metavar="DATA", help="binarised data")
    add("checkpoint", type=Path, metavar="CHECKPOINT", help="checkpoint from which the model folder was exported")
    add("--input", type=Path, required=True, metavar="FILE", help="text")
    add("--lines", type=int, metavar="N", help="maximum number of lines, from the start of the file")
    add("--distinct", action="store_true", help="leave out repeated lines")
    add("--buffer", type=int, default=20_000, metavar="N", help="number of lines that are sorted by length together")
    add("--batch-size", type=int, default=64, metavar="N")
    add("--beam", type=int, default=5, metavar="N")
    add("--precision", choices=("fp32", "int8"), default="fp32")
    add(
        "--threads",
        type=int,
        default=1,
        metavar="N",
        help="threads of fairseq-interactive, and of all workers together",
    )
    add("--workers", type=int, default=1, metavar="N", help="processes of gnmt bulk, which share the threads")
    add("--repetitions", type=int, default=3, metavar="N")
    add_result_options(parser)
    args, args.fairseq_options = parser.parse_known_args()
    if args.threads % args.workers:
        raise UserError(f"--threads is {args.threads}, but must be a multiple of --workers, which is {args.workers}.")
    if args.repetitions < 1:
        raise UserError(f"--repetitions is {args.repetitions}, but must be at least 1.")
    check_output(args.json, args.overwrite)
    return args


def bulk_command(args: argparse.Namespace, source: Path, output: Path) -> List[str]:
    return [sys.executable, "-m", "gnmt", "bulk", str(args.model.resolve()), "--input", str(source), "--output", str(output),
            "--lines-per-shard", str(args.buffer), "--batch-size", str(args.batch_size), "--beam", str(args.beam),
            "--precision", args.precision, "--workers", str(args.workers),
            "--threads", str(args.threads // args.workers)]  # fmt: skip


def fairseq_command(args: argparse.Namespace, source: Path) -> List[str]:
    precision = [] if args.precision == "fp32" else ["--precision", args.precision]
    return [sys.executable, "-m", "fairseq_cli.interactive", str(args.data.resolve()), "--user-dir", str(ROOT / "fairseq_gnmt"),
            "--task", "gnmt_translation", "--path", str(args.checkpoint.resolve()), "--input", str(source), "--cpu",
            "--buffer-size", str(args.buffer), "--batch-size", str(args.batch_size), "--beam", str(args.beam),
            *precision, *args.fairseq_options]  # fmt: skip


def timed(command: List[str], threads: int, output: Path) -> float:
    """Returns the seconds of a program that writes its stdout to a file.

    Args:
        command: command line.
        threads: value of OMP_NUM_THREADS.
        output: file for stdout.
    """
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    variables = {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONPATH": os.pathsep.join(paths)}
    with open(output, "wb") as file:
        start = time.perf_counter()
        result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.PIPE, env=variables)
        seconds = time.perf_counter() - start
    if result.returncode:
        raise UserError(f"{' '.join(command[:5])} failed: {result.stderr.decode(errors='replace').strip()[-500:]}")
    return seconds


def run_bulk(args: argparse.Namespace, source: Path, folder: Path) -> Run:
    """Runs `gnmt bulk` and returns its seconds, including the merge.

    Args:
        args: options of the command line.
        source: input file.
        folder: folder for the output.
    """
    seconds = timed(bulk_command(args, source, folder / "out"), args.threads // args.workers, folder / "log")
    merge = [sys.executable, "-m", "gnmt", "bulk", "merge", str(folder / "out")]
    seconds += timed(merge, 1, folder / "merged")
    return Run(seconds, (folder / "merged").read_text(encoding="utf-8").split("\n")[:-1])


def run_fairseq(args: argparse.Namespace, source: Path, folder: Path) -> Run:
    seconds = timed(fairseq_command(args, source), args.threads, folder / "answers")
    answers = {int(number): text for number, text in ANSWER.findall((folder / "answers").read_text(encoding="utf-8"))}
    return Run(seconds, [answers[number] for number in sorted(answers)])


PROGRAMS = {FAIRSEQ: run_fairseq, BULK: run_bulk}


def run_program(name: str, args: argparse.Namespace, source: Path) -> Run:
    with tempfile.TemporaryDirectory(prefix="bulk-speed-") as folder:
        return PROGRAMS[name](args, source, Path(folder))


def measure(args: argparse.Namespace, lines: List[str], folder: Path) -> Dict[str, Dict[str, list]]:
    """Returns the seconds of each program for the whole file and for its first line, and the translations.

    Args:
        args: options of the command line.
        lines: lines to translate.
        folder: folder for inputs and outputs.
    """
    for name, content in (("whole", lines), ("first", lines[:1])):
        (folder / name).write_text("".join(f"{line}\n" for line in content), encoding="utf-8")
    measured: Dict[str, Dict[str, list]] = {name: {"whole": [], "first": [], "lines": []} for name in PROGRAMS}
    for _ in range(args.repetitions):
        for part in ("first", "whole"):
            for name in PROGRAMS:
                run = run_program(name, args, folder / part)
                measured[name][part].append(run.seconds)
                if part == "whole":
                    measured[name]["lines"] = run.lines
    return measured


def table(measured: Dict[str, Dict[str, list]], count: int) -> str:
    work_seconds = {
        name: [whole - first for whole, first in zip(runs["whole"], runs["first"])] for name, runs in measured.items()
    }
    rows = []
    for name, runs in measured.items():
        ratios = pairwise_ratio(work_seconds[FAIRSEQ], work_seconds[name])
        whole = pairwise_ratio(measured[FAIRSEQ]["whole"], runs["whole"])
        rows.append({
            "program": name,
            "lines/s without the start": f"{(count - 1) / spread(work_seconds[name]).median:.2f}",
            "times faster": f"{ratios.median:.2f} ({ratios.minimum:.2f} to {ratios.maximum:.2f})",
            "lines/s of the whole run": f"{count / spread(runs['whole']).median:.2f}",
            "times faster, whole run": f"{whole.median:.2f}",
            "start, s": f"{spread(runs['first']).median:.1f}",
        })  # fmt: skip
    return markdown_table(rows)


def main() -> None:
    args = parse_options()
    warning = environment.require_free_machine(args.allow_busy)
    lines = [line.strip() for line in read_lines(args.input) if line.strip()]
    lines = list(dict.fromkeys(lines))[: args.lines] if args.distinct else lines[: args.lines]
    if len(lines) < 2:
        raise UserError(f"{args.input} has fewer than two lines of text: give more.")
    with tempfile.TemporaryDirectory(prefix="bulk-speed-") as folder:
        measured = measure(args, lines, Path(folder))
    bulk_lines, fairseq_lines = measured[BULK]["lines"], measured[FAIRSEQ]["lines"]
    difference_count = sum(line != other for line, other in zip(bulk_lines, fairseq_lines))
    print(
        f"{args.input}: {len(lines)} lines ({len(set(lines))} different), {args.precision}, buffer {args.buffer}, "
        f"batch size {args.batch_size}, beam {args.beam}, {args.threads} threads, {args.workers} workers\n"
    )
    print(table(measured, len(lines)))
    print(f"\nLines: {len(bulk_lines)} and {len(fairseq_lines)}; {difference_count} are translated differently.")
    if warning:
        print(warning)
    if args.json:
        seconds = {name: {part: runs[part] for part in ("first", "whole")} for name, runs in measured.items()}
        record = {
            "environment": environment.record(args.threads, "cpu"),
            "lines": len(lines),
            "differing": difference_count,
        }
        write_json(args.json, {**record, "seconds": seconds})


if __name__ == "__main__":
    run_command(main)
