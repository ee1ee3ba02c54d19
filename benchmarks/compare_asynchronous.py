"""Convergence of asynchronous training against synchronous training with the same number of sentences.

    python benchmarks/compare_asynchronous.py DIR --output RUNS --json asynchronous.json --picture asynchronous.png
    python benchmarks/compare_asynchronous.py DIR --output RUNS --json deaths.json --replicas 2 --deaths 20 3

DIR is a folder of `gnmt prepare`. For each number of replicas N, three training runs are compared: one process with batches of
--batch-size; N replicas with one such batch each; one process with N such batches per update, as in data-parallel training
with N processes. With --deaths R S, a further training run with the largest N has R replicas and S servers killed (kill -9) at
equal intervals. Finished training runs are not repeated. Options after `--` are passed to `gnmt train`.
"""

import argparse
import random
import sys
from pathlib import Path
from typing import List

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the checkout, installed or not

from benchmarking import environment  # noqa: E402
from benchmarking.convergence_curves import draw  # noqa: E402
from benchmarking.training_runs import REPLICA, SERVER, Result, Run, train  # noqa: E402
from gnmt.commands.process import run_command  # noqa: E402
from gnmt.commands.report import check_output, markdown_table, write_json  # noqa: E402
from gnmt.files.outputs import atomic_outputs  # noqa: E402
from gnmt.plots.pictures import check_pictures, to_png  # noqa: E402

ONE_BATCH = ["--update-freq", "1"]  # in an update; `gnmt train` would accumulate the recipe's number of sentences
LOG = ["--log-interval", "10"]
SAVES_PER_EPOCH = ["--save-interval-updates", "50", "--keep-interval-updates", "1"]


def runs(replicas: List[int], deaths: List[int]) -> List[Run]:
    """Returns the training runs to compare.

    Args:
        replicas: numbers of replicas.
        deaths: numbers of replicas and of servers that are killed in a further training run.
    """
    training_runs = [Run("1 process", ONE_BATCH)]
    for count in replicas:
        asynchronous = ["--replicas", str(count), "--asynchronous", *ONE_BATCH]
        training_runs.append(Run(f"{count} replicas, asynchronous", asynchronous))
        training_runs.append(Run(f"{count} batches an update", ["--update-freq", str(count)]))
    if any(deaths):
        kinds = [REPLICA] * deaths[0] + [SERVER] * deaths[1]
        random.Random(1).shuffle(kinds)
        count = max(replicas)
        options = ["--replicas", str(count), "--asynchronous", *ONE_BATCH, *SAVES_PER_EPOCH]
        training_runs.append(Run(f"{count} replicas, {deaths[0]} + {deaths[1]} deaths", options, kinds))
    return training_runs


def row(result: Result) -> dict:
    """Returns the row of a training run in the table."""
    last = result.points[-1]
    return {
        "training": result.name,
        "updates": f"{result.updates}",
        "log-perplexity": f"{last.log_perplexity:.3f}",
        "BLEU": f"{last.bleu:.2f}",
        "staleness": f"{result.staleness:.2f}",
        "killed": " + ".join(map(str, result.killed.values())),
        "minutes": f"{result.seconds / 60:.1f}",
    }


def main() -> None:
    arguments, train_options = sys.argv[1:], []
    if "--" in arguments:
        arguments, train_options = arguments[: arguments.index("--")], arguments[arguments.index("--") + 1 :]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DIR", help="folder of `gnmt prepare`")
    parser.add_argument("--output", type=Path, required=True, metavar="RUNS", help="folder for the training runs")
    parser.add_argument("--json", type=Path, required=True, metavar="FILE")
    parser.add_argument("--picture", type=Path, metavar="FILE.png")
    parser.add_argument("--replicas", type=int, nargs="+", default=[2, 4], metavar="N")
    parser.add_argument("--deaths", type=int, nargs=2, default=[0, 0], metavar=("REPLICAS", "SERVERS"))
    parser.add_argument(
        "--batch-size",
        type=int,
        default=32,
        metavar="N",
        help="sentences in a batch of a replica (default: %(default)s)",
    )
    parser.add_argument(
        "--epochs", type=int, default=4, metavar="N", help="epochs of each training run (default: %(default)s)"
    )
    parser.add_argument(
        "--threads", type=int, default=1, metavar="N", help="threads of each process (default: %(default)s)"
    )
    args = parser.parse_args(arguments)
    check_output(args.json, overwrite=True)
    check_pictures([args.picture] if args.picture else [])
    options = ["--cpu", "--batch-size", args.batch_size, "--epochs", args.epochs, "--threads", args.threads]
    options = [*map(str, options), *LOG, *train_options]
    results = []
    for run in runs(args.replicas, args.deaths):
        print(f"{run.name} ...", file=sys.stderr, flush=True)
        folder = args.output / run.name.replace(",", "").replace(" ", "_")
        results.append(train(run, args.data, folder, options))
        settings = {"options": options, "environment": environment.record(args.threads, "cpu")}
        write_json(args.json, {**settings, "results": [result._asdict() for result in results]})
    print(markdown_table([row(result) for result in results]))
    if args.picture:
        with atomic_outputs([args.picture], inputs=[], overwrite=True) as (file,):
            file.write(to_png(draw(results)))


if __name__ == "__main__":
    run_command(main)
