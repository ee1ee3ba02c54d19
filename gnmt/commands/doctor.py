"""Checks this machine and installation, and names the remedy for each failure.

    gnmt doctor
    gnmt doctor MODEL
"""
import argparse
import importlib.metadata
import os
import platform
import sys
import tempfile
from pathlib import Path
from typing import Callable, Iterator, List, NamedTuple, Optional

from gnmt.errors import UserError

PACKAGES = ("torch", "numpy", "sentencepiece", "safetensors", "sacrebleu", "regex", "tqdm", "zstandard")
TRAINING = "ve-fairseq"
FEATURES = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
LEAST_MEMORY = 1 << 30  # bytes that a translation with a large model needs


class Finding(NamedTuple):
    """Result of one check."""

    name: str
    found: str
    remedy: Optional[str] = None  # None if nothing is wrong


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of the command."""
    parser.add_argument("model", type=Path, nargs="?", help="model folder to try as well")


def run(arguments: argparse.Namespace) -> None:
    """Runs the command; exits with 1 if a check fails."""
    failures = 0
    for finding in findings(arguments.model):
        failures += finding.remedy is not None
        print(f"{'ok  ' if finding.remedy is None else 'FAIL'}  {finding.name}: {finding.found}")
        if finding.remedy is not None:
            print(f"      {finding.remedy}")
    if failures:
        sys.exit(1)


def findings(model: Optional[Path]) -> Iterator[Finding]:
    """Yields the result of each check."""
    yield Finding("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    missing = False
    for package in PACKAGES:
        finding = check_package(package)
        missing = missing or finding.remedy is not None
        yield finding
    training = _version(TRAINING) or _version("fairseq")
    yield Finding("fairseq", training or "not installed; it is needed for training only: pip install 'fairseq-gnmt[fairseq]'")
    yield check_processor()
    yield check_memory()
    if missing:
        return
    yield check_threads()
    yield check_gpu()
    for precision in ("fp32", "int8"):
        yield attempt(f"round trip in {precision}", lambda precision=precision: try_precision(precision))
    if model is not None:
        yield attempt(f"model {model}", lambda: try_model(model))


def attempt(name: str, check: Callable[[], str]) -> Finding:
    """Returns the result of a check that may raise."""
    try:
        return Finding(name, check())
    except UserError as error:
        return Finding(name, "failed", str(error))
    except Exception as error:  # a check that fails in an unforeseen way is a finding, too
        return Finding(name, f"{type(error).__name__}: {error}", "Install the packages again: pip install --force-reinstall fairseq-gnmt")


def check_package(name: str) -> Finding:
    """Checks that a package of the core is installed."""
    version = _version(name)
    return Finding(name, version or "not installed", None if version else f"pip install {name}")


def check_processor() -> Finding:
    """Names the processor and the features that decide on speed."""
    description = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    flags = next((line.split(":", 1)[1].split() for line in description.splitlines() if line.startswith("flags")), [])
    model = next((line.split(":", 1)[1].strip() for line in description.splitlines() if line.startswith("model name")), "unknown")
    found = [feature for feature in FEATURES if feature in flags]
    return Finding("processor", f"{model} ({', '.join(found) or 'no vector features known'})")


def check_memory() -> Finding:
    """Checks the memory that is free."""
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return Finding("memory", "unknown")
    remedy = None if free >= LEAST_MEMORY else "End other programs: large models need more memory."
    return Finding("memory", f"{free / 2**30:.1f} GiB free", remedy)


def check_threads() -> Finding:
    """Compares the threads of torch with the cores of this process."""
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = torch.get_num_threads()
    remedy = f"Set OMP_NUM_THREADS={cores}, or give --threads {cores}." if threads > cores else None
    return Finding("threads", f"{threads} on {cores} cores", remedy)


def check_gpu() -> Finding:
    """Names the GPU that torch sees."""
    import torch

    return Finding("GPU", torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none; translation runs on the CPU")


def try_precision(precision: str) -> str:
    """Writes a tiny random model, reads it and translates with it."""
    import torch

    from gnmt.checkpoints.model_config import GenerationConfig, ModelConfig
    from gnmt.checkpoints.model_folder import TokenizerFiles, write_model_folder
    from gnmt.network.gnmt import GNMTNetwork
    from gnmt.tokenizers.vocabulary import Vocabulary
    from gnmt.translator import Translator

    vocabulary = Vocabulary(["▁a", "▁b", "c"])
    config = ModelConfig(16, 2, 2, len(vocabulary), len(vocabulary), "aa", "bb", precision=precision)
    with torch.random.fork_rng(), tempfile.TemporaryDirectory() as folder:
        network = GNMTNetwork(config.network)
        write_model_folder(
            Path(folder), network, config, GenerationConfig(max_len_b=5), vocabulary, vocabulary, TokenizerFiles("words"), ""
        )
        translator = Translator.from_pretrained(folder, precision=precision)
        texts: List[str] = ["a b c", "b"]
        together = [one.tokens for one in translator.translate(texts)]
        alone = [translator.translate([text])[0].tokens for text in texts]
    if together != alone:
        raise UserError("A translation depends on its batch: report this with the versions above.")
    return "translates"


def try_model(path: Path) -> str:
    """Reads a model folder and translates with it."""
    from gnmt.translator import Translator

    translator = Translator.from_pretrained(path)
    translator.translate(["1 2 3."])
    return f"{translator.source_language} to {translator.target_language}, {translator.precision}"


def _version(package: str) -> Optional[str]:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
