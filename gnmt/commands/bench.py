"""Measures the speed of a model folder: throughput, latency, load time and memory, for each precision.

    gnmt bench MODEL --input test.en
    gnmt bench MODEL --input test.en --precision fp32 int8 --threads 1 --batch-size 128 --json

Each precision is measured in a separate process, after a warm-up; figures are medians of the repetitions. Throughput is
measured with batches, latency with one sentence at a time. A step emits one token of each hypothesis; "ms per step" is
the latency divided by the number of tokens of the best translation, including EOS. Memory is the peak of the process,
or of the GPU. Without --input, sentences are random tokens, whose translations have other lengths than real ones.
"""

import argparse
import json
import multiprocessing
import platform
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, Dict, List

from gnmt.checkpoints.model_folder import read_model_folder
from gnmt.commands.declared_options import add_options, given_options
from gnmt.commands.model_options import add_model_options
from gnmt.commands.report import markdown_table
from gnmt.commands.speed import PERCENT_OF_LATENCY, Workload, measure
from gnmt.errors import UserError
from gnmt.files.lines import read_lines
from gnmt.machine import processor
from gnmt.ranges import Range
from gnmt.translation.options import TranslationOptions

OPTIONS = ("beam", "batch_size")
POSITIVE = Range(1)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of the command."""
    parser.add_argument("model", type=Path, metavar="MODEL", help="model folder")
    parser.add_argument("--input", type=Path, metavar="FILE", help="text to translate (default: random sentences)")
    parser.add_argument(
        "--sentences",
        type=int,
        default=256,
        metavar="N",
        help="maximum number of lines of --input, or of random sentences",
    )
    parser.add_argument("--precision", nargs="+", metavar="P", help="precisions to compare (default: the model's)")
    add_model_options(parser, "device", "threads")
    add_options(parser, TranslationOptions, OPTIONS)
    parser.add_argument(
        "--single", type=int, default=20, metavar="N", help="number of sentences translated one at a time"
    )
    parser.add_argument(
        "--repetitions", type=int, default=5, metavar="N", help="number of repetitions of each measurement"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")


def run(arguments: argparse.Namespace) -> None:
    """Runs the command."""
    for name in ("sentences", "single", "repetitions"):
        POSITIVE.check(name, getattr(arguments, name))
    options = TranslationOptions(**given_options(arguments, OPTIONS))
    lines = read_lines(arguments.input)[: arguments.sentences] if arguments.input else []
    if lines and not any(map(str.strip, lines)):
        raise UserError(f"{arguments.input} has blank lines only: give some text.")
    read_model_folder(arguments.model)  # reports errors before the measurements
    workloads = [
        Workload(
            arguments.model, precision, arguments.device, arguments.threads, lines, arguments.sentences, options.beam,
            options.batch_size, arguments.repetitions, arguments.single,
        )
        for precision in arguments.precision or [None]
    ]  # fmt: skip
    measured = [measure_apart(workload) for workload in workloads]
    report = {
        "model": str(arguments.model),
        "input": str(arguments.input or "random tokens"),
        **machine(),
        "measured": measured,
    }
    print(json.dumps(report) if arguments.json else text_of(report))


def measure_apart(workload: Workload) -> Dict[str, Any]:
    """Runs a measurement in a new process."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure, workload).result()


def machine() -> Dict[str, str]:
    """Returns versions and processor of this machine."""
    import torch

    import gnmt

    name = processor().get("model name", platform.machine())
    return {"gnmt": gnmt.__version__, "torch": torch.__version__, "processor": name}


def text_of(report: Dict[str, Any]) -> str:
    """Returns the report as a table with one row per precision."""
    rows: List[Dict[str, str]] = []
    for figures in report["measured"]:
        rows.append({
            "precision": figures["precision"],
            "sentences/s": f"{figures['sentences_per_second']:.1f}",
            "latency, ms": f"{figures['latency_ms']:.1f}",
            f"p{PERCENT_OF_LATENCY}": f"{figures[f'latency_ms_p{PERCENT_OF_LATENCY}']:.1f}",
            "ms per step": f"{figures['ms_per_step']:.2f}",
            "load, s": f"{figures['load_seconds']:.2f}",
            "memory, MiB": f"{figures['peak_memory_mib']:.0f}",
        })  # fmt: skip
    first = report["measured"][0]
    settings = (
        f"{report['model']}: {first['sentences']} sentences of {report['input']} ({first['source_tokens']} source tokens), "
        f"beam {first['beam']}, batch size {first['batch_size']}, {first['threads']} threads, {first['device']}; "
        f"{report['processor']}, torch {report['torch']}, gnmt {report['gnmt']}"
    )
    return f"{settings}\n\n{markdown_table(rows)}"
