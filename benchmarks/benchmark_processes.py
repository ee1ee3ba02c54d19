"""Time and memory of an update by several processes: data parallelism, BMUF replicas, vocabulary parallelism.

    python benchmarks/benchmark_processes.py --processes 2 --json processes.json

The processes run on this machine with one thread each and communicate by gloo. They are compared with one process with
the same total number of threads. All compute an update of one batch: each process has a share of the sentences. BMUF
replicas do not communicate, as between two synchronisations. The state consists of parameters, gradients and both moments
of Adam.
"""

import argparse
import multiprocessing
import statistics
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Dict, List

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the checkout, installed or not

from benchmarking import environment  # noqa: E402
from benchmarking.command_line import check_layers, check_positive  # noqa: E402
from benchmarking.result_options import add_result_options  # noqa: E402
from benchmarking.shared_update import (  # noqa: E402
    DATA, REPLICAS, VOCABULARY, WHOLE, Measured, UpdateSetting, free_port, measure_process,
)  # fmt: skip
from gnmt.commands.process import run_command  # noqa: E402
from gnmt.commands.report import check_output, markdown_table, write_json  # noqa: E402
from gnmt.errors import UserError  # noqa: E402

STRATEGIES = (WHOLE, DATA, REPLICAS, VOCABULARY)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--processes", type=int, default=2, help="number of processes; the single process has this number of threads")
    add("--strategies", nargs="+", choices=STRATEGIES, default=STRATEGIES, help="rows of the table")
    add("--hidden", type=int, default=1024, help="hidden size")
    add("--layers", type=int, default=4, help="number of encoder layers, and of decoder layers")
    add("--vocabulary", type=int, default=32000, help="vocabulary size")
    add("--tied", action="store_true", help="use the embeddings as the weights of the output layer")
    add("--batch", type=int, default=32, help="sentences of an update on all processes together")
    add("--length", type=int, default=25, help="tokens per sentence")
    add("--updates", type=int, default=5, help="measured updates, after one warm-up update")
    add_result_options(parser)
    args = parser.parse_args()
    check_positive(args, ("hidden", "batch", "length", "updates"))
    check_layers(args.layers)
    if not 2 <= args.processes <= args.batch:
        raise UserError(f"--processes is {args.processes}, but must be from 2 to --batch, {args.batch}.")
    if args.vocabulary < args.processes + 3:
        raise UserError(f"--vocabulary is {args.vocabulary}, but at least {args.processes + 3} is needed.")
    check_output(args.json, args.overwrite)
    return args


def measure(strategy: str, args: argparse.Namespace) -> List[Measured]:
    """Starts the processes and returns the measurements of each.

    Args:
        strategy: one of STRATEGIES.
        args: options of the command line.
    """
    processes, threads = (1, args.processes) if strategy == WHOLE else (args.processes, 1)
    setting = UpdateSetting(
        strategy, processes, threads, args.hidden, args.layers, args.vocabulary, args.batch, args.length, args.tied,
        args.updates,
    )  # fmt: skip
    port = free_port()
    # Forked, because importing torch and fairseq again takes longer than the measurement; nothing has been computed here.
    with ProcessPoolExecutor(processes, multiprocessing.get_context("fork")) as pool:
        return [
            future.result()
            for future in [pool.submit(measure_process, rank, setting, port) for rank in range(processes)]
        ]


def row(strategy: str, measured: List[Measured], base: float) -> Dict[str, str]:
    seconds = median_seconds(measured)
    return {
        "strategy": strategy,
        "processes": str(len(measured)),
        "ms per update": f"{1000 * seconds:.0f}",
        f"time / {WHOLE}": f"{seconds / base:.2f}",
        "parameters per process": f"{max(process.parameters for process in measured) / 1e6:.1f} M",
        "state per process MiB": f"{max(process.state_mebibytes for process in measured):.0f}",
        "peak memory per process MiB": f"{max(process.peak_mebibytes for process in measured):.0f}",
    }


def median_seconds(measured: List[Measured]) -> float:
    """Returns the median time of an update, which ends when the last process ends."""
    return statistics.median(map(max, zip(*(process.seconds for process in measured))))


def main() -> None:
    args = parse_options()
    warning = environment.require_free_machine(args.allow_busy)
    machine = environment.record(args.processes, "cpu")
    measured = {strategy: measure(strategy, args) for strategy in dict.fromkeys([WHOLE, *args.strategies])}
    table = [row(strategy, figures, median_seconds(measured[WHOLE])) for strategy, figures in measured.items()]
    heading = (
        f"An update of {args.batch} sentences of {args.length} tokens; hidden size {args.hidden}, {args.layers} + "
        f"{args.layers} layers, vocabulary {args.vocabulary}, {'tied' if args.tied else 'not tied'}; median of {args.updates}."
    )
    print("\n".join([heading, *([warning] if warning else []), "", markdown_table(table)]))
    if args.json:
        figures = {strategy: [process._asdict() for process in processes] for strategy, processes in measured.items()}
        write_json(args.json, {"environment": machine, "options": vars(args), "measured": figures, "table": table})


if __name__ == "__main__":
    run_command(main)
