"""Options shared by all benchmarks."""

import argparse
from pathlib import Path
from typing import Dict, List, NamedTuple, Sequence, Tuple

import torch
from fairseq.data import Dictionary

from benchmarking import workload
from benchmarking.alternation import Contender
from benchmarking.contenders.setting import Setting
from benchmarking.result_options import add_result_options
from benchmarking.workload import Batch
from gnmt.errors import UserError
from gnmt.machine import available_cores

MATRIX_PRODUCT = "matrix product"
ONLY_ON_CPU = {"int8", "opennmt", "ctranslate2"}
ONLY_ON_GPU = {"fp16"}


class Workload(NamedTuple):
    dictionary: Dictionary
    batches: List[Batch]
    sentences: int  # of the whole split, in these batches or not


def add_options(
    parser: argparse.ArgumentParser, contenders: Sequence[str], precisions: Dict[str, Sequence[str]]
) -> None:
    """Adds the options of contenders, network and batches.

    Args:
        parser: parser of the benchmark.
        contenders: names of the contenders.
        precisions: supported precisions of each contender that supports others than fp32.
    """
    add = parser.add_argument
    add(
        "--contenders",
        nargs="+",
        choices=contenders,
        default=["ours"],
        help="contenders; ratios are relative to the first one",
    )
    choices = list(dict.fromkeys(precision for names in precisions.values() for precision in names))
    add("--precision", nargs="+", choices=choices, default=["fp32"], help=f"precisions of {' and '.join(precisions)}")
    add("--device", choices=("cpu", "cuda"), default="cpu", help="cuda: the first visible GPU")
    add("--nvidia", type=Path, metavar="DIR", help="PyTorch/Translation/GNMT of NVIDIA's DeepLearningExamples")
    add_measuring_options(parser)

    network = parser.add_argument_group("network")
    network.add_argument("--hidden", type=int, default=1024, help="hidden size")
    network.add_argument("--layers", type=int, default=4, help="number of encoder layers, and of decoder layers")
    network.add_argument("--vocabulary", type=int, default=32000, help="vocabulary size of synthetic data")

    data = parser.add_argument_group("batches: synthetic, or from the folder of fairseq-preprocess --joined-dictionary")
    data.add_argument("--batch", type=int, default=32, help="sentences")
    data.add_argument("--batches", type=int, help="number of batches in a repetition")
    data.add_argument("--source-length", type=int, default=25, help="tokens of synthetic sources, including EOS")
    data.add_argument("--target-length", type=int, default=25, help="tokens of synthetic targets, including EOS")
    data.add_argument("--data", type=Path, metavar="DIR", help="binarised data for real batches")
    data.add_argument("--languages", nargs=2, default=("en", "de"), metavar=("SOURCE", "TARGET"))


def add_measuring_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options shared by all benchmarks."""
    add = parser.add_argument
    add(
        "--threads", type=int, default=available_cores(), help="threads of each contender; one contender runs at a time"
    )
    add("--repetitions", type=int, default=5, help="counted rounds; in each, every contender runs once")
    add("--warm-up", type=int, default=2, help="warm-up rounds, which are not counted")
    add("--seed", type=int, default=1, help="seed of random weights and words")
    add_result_options(parser)


def check_options(args: argparse.Namespace, precisions: Dict[str, Sequence[str]]) -> None:
    check_measuring_options(args)
    check_positive(args, ("hidden", "batch", "batches"))
    check_layers(args.layers)
    if "nvidia" in args.contenders and args.nvidia is None:
        raise UserError(
            "--contenders nvidia needs --nvidia DIR, PyTorch/Translation/GNMT in a checkout of NVIDIA's code."
        )
    if args.device == "cuda":
        check_cuda(args.contenders, args.precision)
    else:
        check_cpu(args.precision)
    if len(set(args.contenders)) < len(args.contenders) or len(set(args.precision)) < len(args.precision):
        raise UserError("--contenders and --precision take each name once.")
    for name in args.contenders:
        supported = precisions.get(name)
        if supported is not None and not set(args.precision) & set(supported):
            raise UserError(f"{name} has no {' or '.join(args.precision)}: add one of {', '.join(supported)}.")


def check_cuda(contenders: Sequence[str], precisions: Sequence[str]) -> None:
    """Raises UserError for options that work on CPUs only, and if there is no GPU.

    Args:
        contenders: names of the contenders.
        precisions: names of the precisions.
    """
    cpu_only = sorted(ONLY_ON_CPU & {*contenders, *precisions})
    if cpu_only:
        raise UserError(
            f"--device cuda: {' and '.join(cpu_only)} can only be measured on a CPU here: leave --device out."
        )
    if not torch.cuda.is_available():
        raise UserError("--device cuda: torch sees no GPU. Check nvidia-smi and CUDA_VISIBLE_DEVICES.")


def check_cpu(precisions: Sequence[str]) -> None:
    """Raises UserError for precisions that are measured on GPUs only."""
    if ONLY_ON_GPU & set(precisions):
        raise UserError("--precision fp16 is measured on GPUs only: add --device cuda, or give bf16.")


def check_measuring_options(args: argparse.Namespace) -> None:
    check_positive(args, ("threads", "repetitions"))
    if args.warm_up < 0:
        raise UserError(f"--warm-up is {args.warm_up}, but cannot be negative.")


def check_positive(args: argparse.Namespace, names: Sequence[str]) -> None:
    for name in names:
        value = getattr(args, name)
        if value is not None and value < 1:
            raise UserError(f"--{name} is {value}, but must be at least 1.")


def check_layers(layers: int) -> None:
    if layers < 2:
        raise UserError(f"--layers is {layers}, but GNMT has at least 2.")


def origin_of_batches(args: argparse.Namespace) -> str:
    """Returns the split of the data, or the lengths of synthetic sentences, for the heading of a table."""
    if args.data:
        return f"{args.split} of {args.data.name}"
    return f"source {args.source_length}, target {args.target_length}"


def load_workload(args: argparse.Namespace, split: str, default_count: Tuple[int, None]) -> Workload:
    """Returns the batches of the options, synthetic or from data.

    Args:
        args: options of the benchmark.
        split: split of the data.
        default_count: number of synthetic and of real batches without --batches; None means all.
    """
    synthetic, real = default_count
    if args.data is None:
        dictionary = workload.make_dictionary(args.vocabulary)
        batches = workload.synthetic_batches(
            args.vocabulary, args.batches or synthetic, args.batch, args.source_length, args.target_length, args.seed
        )
        return Workload(dictionary, batches, sum(len(batch.sources) for batch in batches))
    source, target = (workload.load_dictionary(args.data, language) for language in args.languages)
    if source != target:
        raise UserError(
            f"The dictionaries of {args.data} differ: the contenders share one, as --joined-dictionary makes."
        )
    pairs = workload.load_pairs(args.data, split, tuple(args.languages))
    return Workload(target, workload.real_batches(pairs, args.batch, args.batches or real), len(pairs))


def expand(
    args: argparse.Namespace, builder: str, setting: Setting, modules: dict, precisions: Dict[str, Sequence[str]]
) -> List[Contender]:
    """Returns a contender for each name, or for each name and precision, and then the matrix product.

    Args:
        args: options of the command line.
        builder: name of the function that builds a contender in its module.
        setting: setting of all contenders.
        modules: module of each contender, below benchmarking.contenders.
        precisions: supported precisions of each contender that supports others than fp32.
    """
    contenders = []
    for name in args.contenders:
        supported = precisions.get(name)
        selected = ["fp32"] if supported is None else [choice for choice in args.precision if choice in supported]
        for precision in selected:
            contender_setting = setting._replace(precision=precision)
            title = f"{name} {precision}" if name in precisions else name
            contenders.append(Contender(title, f"benchmarking.contenders.{modules[name]}", builder, contender_setting))
    limit = setting._replace(batches=[])
    return [*contenders, Contender(MATRIX_PRODUCT, "benchmarking.contenders.matrix_product", "build", limit)]
