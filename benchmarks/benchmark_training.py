"""Speed and memory of training updates: this plugin, fairseq's `lstm`, NVIDIA's code.

    python benchmarks/benchmark_training.py --contenders ours nvidia --nvidia DeepLearningExamples/PyTorch/Translation/GNMT
    python benchmarks/benchmark_training.py --contenders ours fairseq-lstm --data DATA --batch 128 --hidden 512

An update consists of forward pass, loss, backward pass, clipping and optimizer step; batches are collated in advance. The
contenders run alternately, each in its own process. ours-recomputing is this plugin with --checkpoint-activations.

--precision fp32 bf16 measures both precisions. In bf16 and fp16 (GPUs only), weights stay in float32 and products are
computed in 16 bits: on a CPU ours as with --bf16, all others by torch.autocast, without a loss scale. Peak memory is the
memory of the whole process during the updates, including about 350 MiB for Python, torch and fairseq; with --device cuda,
it is the GPU memory allocated by torch. Prints a Markdown table; --json stores every measurement and the environment.
"""

import argparse
import logging
import sys
from pathlib import Path
from typing import Any, Dict, List

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the checkout, installed or not
logging.disable(logging.INFO)  # hides fairseq's and NVIDIA's messages about the models that they build

from benchmarking import environment  # noqa: E402
from benchmarking.alternation import Worker  # noqa: E402
from benchmarking.command_line import (  # noqa: E402
    Workload, add_options, check_options, expand, load_workload, origin_of_batches,
)  # fmt: skip
from benchmarking.contenders.first_batch import LossAndGradient  # noqa: E402
from benchmarking.contenders.setting import Setting  # noqa: E402
from benchmarking.operations import NetworkSize, update_operations  # noqa: E402
from gnmt.commands.report import ABSENT, check_output, markdown_table, write_json  # noqa: E402
from benchmarking.session import Measured, as_json, measure  # noqa: E402
from gnmt.commands.process import run_command  # noqa: E402
from gnmt.errors import UserError  # noqa: E402

MODULES = {"ours": "ours", "ours-recomputing": "ours_recomputing", "fairseq-lstm": "fairseq_lstm", "nvidia": "nvidia"}
PRECISIONS = {name: ("fp32", "bf16", "fp16") for name in MODULES}
OUR_NETWORK = ("ours", "ours-recomputing", "nvidia")  # contenders with the same network and weights
BASE = "ours fp32"
REAL_BATCHES = 8  # batches of a repetition, from short to long
# Largest relative differences. float32: the same sums in another order. 16 bits: numbers are rounded by up to 2^-9 or
# 2^-12, and the layers of a network with large random weights amplify this error (hidden size 1024, bf16: 2^-7.9).
TOLERANCE = {
    "fp32": LossAndGradient(1e-5, 1e-4),
    "bf16": LossAndGradient(2**-7, 0.1),
    "fp16": LossAndGradient(2**-11, 0.1),
}


def compare_first_batches(workers: List[Worker]) -> List[str]:
    """Returns a sentence about each contender. Raises UserError if losses or gradients of equal networks differ."""
    first_batches = {worker.name: worker.call("first_batch") for worker in workers}
    base = first_batches.get(BASE)
    sentences = []
    for name, values in first_batches.items():
        if not is_ours(name):
            sentences.append(f"{name}: another network, so its loss is not compared.")
        elif name != BASE and base is not None:
            differences = [abs(value / expected - 1) for value, expected in zip(values, base)]
            if not all(difference <= limit for difference, limit in zip(differences, TOLERANCE[name.split()[-1]])):
                raise UserError(f"{name} has {values} where ours is {base}: the benchmark would compare nothing.")
            sentences.append(
                f"{name}: the same loss and gradient as ours on the first batch, without dropout: {values.loss:.6g} and "
                f"{base.loss:.6g}, norms {values.gradient_norm:.6g} and {base.gradient_norm:.6g} (relative differences "
                f"{differences[0]:.0e}, {differences[1]:.0e})."
            )
    return sentences


def is_ours(name: str) -> bool:
    """Returns True if a contender, such as "nvidia bf16", trains our network."""
    return name.rpartition(" ")[0] in OUR_NETWORK


def rows(measured: Measured, workload: Workload, size: NetworkSize) -> List[Dict[str, str]]:
    count = len(workload.batches)
    target = sum(batch.target_tokens for batch in workload.batches)
    tokens = target + sum(batch.source_tokens for batch in workload.batches)
    operations = update_operations(size, workload.batches)
    base = measured.names[0]
    return [
        {
            "contender": name,
            "ms per update": f"{measured.total(name).divided(count / 1000):.1f}",
            "target tokens/s": f"{measured.total(name).rate(target):.0f}",
            "source + target tokens/s": f"{measured.total(name).rate(tokens):.0f}",
            "% of peak": f"{100 * measured.share_of_peak(name, operations):.1f}" if is_ours(name) else ABSENT,
            "peak memory MiB": f"{measured.peaks[name]:.0f}",
            f"memory / {base}": ABSENT if name == base else f"{measured.peaks[name] / measured.peaks[base]:.2f}",
            f"time / {base}": ABSENT if name == base else f"{measured.ratio(name, base):.2f}",
        }
        for name in measured.names
    ]


def padding(workload: Workload) -> float:
    """Returns the share of padding among target positions, equal in fairseq's and NVIDIA's batches."""
    positions = sum(len(batch.targets) * batch.longest_target for batch in workload.batches)
    return 1 - sum(batch.target_tokens for batch in workload.batches) / positions


def describe(args: argparse.Namespace, workload: Workload) -> str:
    return (
        f"Training, hidden size {args.hidden}, {args.layers} + {args.layers} layers, vocabulary {len(workload.dictionary)}, "
        f"dropout {args.dropout}, {len(workload.batches)} x {args.batch} sentences ({origin_of_batches(args)}, "
        f"{100 * padding(workload):.1f}% of the target is padding), {args.threads} threads; median (least - most) of {args.repetitions}."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser, list(MODULES), PRECISIONS)
    parser.add_argument("--dropout", type=float, default=0.2)
    parser.add_argument("--split", default="train", help="of --data")
    args = parser.parse_args()
    check_options(args, PRECISIONS)
    check_output(args.json, args.overwrite)
    warning = environment.require_free_machine(args.allow_busy)
    machine = environment.record(args.threads, args.device)

    workload = load_workload(args, args.split, (1, REAL_BATCHES))
    size = NetworkSize(args.hidden, args.layers, len(workload.dictionary))
    setting = Setting(
        size, workload.dictionary, workload.batches, args.dropout, args.threads,
        seed=args.seed, nvidia=args.nvidia, device=args.device,
    )  # fmt: skip
    contenders = expand(args, "trainer", setting, MODULES, PRECISIONS)
    measured = measure(contenders, args.threads, args.warm_up, args.repetitions, compare_first_batches)

    table = rows(measured, workload, size)
    warnings = [text for text in (warning, environment.disturbance(measured.others)) if text]
    print("\n".join([describe(args, workload), *measured.checked, *warnings, "", markdown_table(table)]))
    print(f"\nPeak: {measured.peak_operations / 1e9:.0f} GFLOP/s in float32 matrix products of the same run.")
    if args.json:
        content: Dict[str, Any] = {"environment": machine, "options": vars(args), "checks": measured.checked}
        write_json(args.json, {**content, "warnings": warnings, "table": table, **as_json(measured)})


if __name__ == "__main__":
    run_command(main)
