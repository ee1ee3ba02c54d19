"""Profile of a training update and of a translation: operations, memory and synchronisations of the host with the device.

    python benchmarks/profile_steps.py --device cuda --precision fp16
    python benchmarks/profile_steps.py --device cpu --hidden 32 --vocabulary 50 --batch 2 --length 5

The network has random weights. Prints Markdown tables: the operations that take most of the time, and totals per training
update and per step of beam search. Synchronisations are counted on GPUs only, by torch's warnings about them.
"""

import argparse
import logging
import sys
import time
import warnings
from pathlib import Path
from typing import Callable, Dict, List

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the checkout, installed or not
logging.disable(logging.INFO)  # hides fairseq's messages

import torch  # noqa: E402
from torch.profiler import ProfilerActivity, profile  # noqa: E402

from benchmarking import environment  # noqa: E402
from benchmarking.command_line import check_cpu, check_cuda, check_positive  # noqa: E402
from benchmarking.contenders import ours  # noqa: E402
from benchmarking.contenders.setting import SearchSetting, Setting  # noqa: E402
from benchmarking.operations import NetworkSize  # noqa: E402
from benchmarking.workload import make_dictionary, synthetic_batches  # noqa: E402
from gnmt.commands.process import run_command  # noqa: E402
from gnmt.commands.report import check_output, markdown_table, write_json  # noqa: E402

LAYERS = 4
SHOWN = 20  # operations
PRECISIONS = ("fp32", "bf16", "fp16")


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda")
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32", help="precision of training and decoding")
    parser.add_argument("--hidden", type=int, default=1024, help="hidden size")
    parser.add_argument("--vocabulary", type=int, default=32000, help="vocabulary size")
    parser.add_argument("--batch", type=int, default=128, help="sentences")
    parser.add_argument("--length", type=int, default=25, help="tokens per sentence, including EOS")
    parser.add_argument("--beam", type=int, default=5)
    parser.add_argument("--json", type=Path, metavar="FILE", help="file for the tables and the environment")
    parser.add_argument("--overwrite", action="store_true", help="replace the --json file")
    options = parser.parse_args()
    check_output(options.json, options.overwrite)
    check_positive(options, ("hidden", "batch", "beam"))
    if options.device == "cuda":
        check_cuda([], [options.precision])
    else:
        check_cpu([options.precision])
    return options


def synchronize(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def count_synchronisations(run: Callable[[], object], device: str) -> int:
    """Returns the number of times that the host waits for the GPU during a call; 0 on a CPU.

    Args:
        run: call to count.
        device: "cpu" or "cuda".
    """
    if device == "cpu":
        run()
        return 0
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as messages:
            warnings.simplefilter("always")
            run()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return sum("synchroniz" in str(message.message) for message in messages)


def measure(name: str, run: Callable[[], object], units: int, device: str) -> Dict[str, str]:
    """Prints the most expensive operations of a call, and returns its totals.

    Args:
        name: of the measured unit, such as "training update".
        run: executes `units` units.
        units: number of units of a call.
        device: "cpu" or "cuda".
    """
    run()  # warm-up
    synchronize(device)
    start = time.perf_counter()
    run()
    synchronize(device)
    seconds = time.perf_counter() - start
    waits = count_synchronisations(run, device)
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device == "cuda" else [])]
    with profile(activities=activities) as profiler:
        run()
        synchronize(device)
    events = profiler.key_averages()
    key = "self_cpu_time_total" if device == "cpu" else "self_device_time_total"
    events = sorted(events, key=lambda event: -getattr(event, key))
    total = sum(getattr(event, key) for event in events) or 1
    top: List[Dict[str, str]] = [
        {
            "operation": event.key[:60],
            "share": f"{100 * getattr(event, key) / total:.1f} %",
            f"calls per {name}": f"{event.count / units:.1f}",
        }
        for event in events[:SHOWN]
    ]
    print(f"\n{name}\n\n{markdown_table(top)}", flush=True)
    calls = sum(event.count for event in events if event.key.startswith("aten::"))
    return {
        "": name,
        "ms": f"{1000 * seconds / units:.2f}",
        f"{device} ms of operations": f"{total / 1000 / units:.2f}",
        "torch operations": f"{calls / units:.0f}",
        "synchronisations": f"{waits / units:.1f}" if device == "cuda" else "-",
        "peak MiB": f"{torch.cuda.max_memory_allocated() / 2**20:.0f}" if device == "cuda" else "-",
    }


def measure_training(setting: Setting) -> Dict[str, str]:
    training = ours.trainer(setting)
    return measure("training update", lambda: training.run(0), 1, setting.device)


def measure_search(setting: Setting, options: argparse.Namespace) -> Dict[str, str]:
    search = SearchSetting(options.beam, 0.0, options.length)
    translation = ours.translator(setting._replace(search=search, dropout=0.0))
    return measure("step of beam search", lambda: translation.run(0), options.length, options.device)


def main() -> None:
    options = parse_options()
    dictionary = make_dictionary(options.vocabulary)
    batches = synthetic_batches(options.vocabulary, 1, options.batch, options.length, options.length, seed=1)
    size = NetworkSize(options.hidden, LAYERS, options.vocabulary)
    setting = Setting(
        size, dictionary, batches, 0.2, torch.get_num_threads(), precision=options.precision, device=options.device
    )
    totals = [measure_training(setting), measure_search(setting, options)]
    print(f"\ntotals, {options.precision}\n\n{markdown_table(totals)}")
    if options.json:
        machine = environment.record(torch.get_num_threads(), options.device)
        write_json(options.json, {"environment": machine, "options": vars(options), "totals": totals})


if __name__ == "__main__":
    run_command(main)
