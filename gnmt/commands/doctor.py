"""Checks this machine and installation, and prints a remedy for each failure.

    gnmt doctor
    gnmt doctor MODEL

Checks versions, processor, memory, threads and GPU, and translates with a tiny random model on the CPU in each precision.
Exits with 1 if a check fails. "n/a" marks a precision that a CPU does not support.
"""

import argparse
import contextlib
import errno
import importlib
import importlib.metadata
import io
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path
from typing import Callable, Iterator, List, NamedTuple, Optional, Tuple

from gnmt import extras
from gnmt.errors import UserError
from gnmt.machine import available_cores, available_memory, processor

MIN_PYTHON = (3, 11)
PACKAGES = {  # minimum versions
    "torch": "2.6",
    "numpy": "1.26",
    "sentencepiece": "0.2",
    "safetensors": "0.5",
    "sacrebleu": "2.4",
    "regex": "2024.4.16",
    "tqdm": "4.60",
    "zstandard": "0.22",
}
TRAINING = "ve-fairseq"
FEATURES = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
FOLDER_FAILS = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)
MIN_MEMORY_BYTES = 1 << 30  # bytes required for translation with a large model


class Finding(NamedTuple):
    """Result of one check."""

    name: str
    found: str
    remedy: Optional[str] = None  # None if nothing is wrong
    is_supported: bool = True


class NotSupported(Exception):
    """Exception of a check that this device does not support."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of the command."""
    parser.add_argument("model", type=Path, nargs="?", help="model folder to test")


def run(arguments: argparse.Namespace) -> None:
    """Runs the command; exits with 1 if a check fails."""
    failures = 0
    for finding in findings(arguments.model):
        failures += finding.remedy is not None
        mark = "n/a " if not finding.is_supported else "ok  " if finding.remedy is None else "FAIL"
        print(f"{mark}  {finding.name}: {finding.found}")
        if finding.remedy is not None:
            print(f"      {finding.remedy}")
    if failures:
        sys.exit(1)


def findings(model: Optional[Path]) -> Iterator[Finding]:
    """Yields the result of each check."""
    yield check_python()
    packages = [check_package(name, minimum) for name, minimum in PACKAGES.items()]
    yield from packages
    yield check_fairseq()
    yield check_server()
    yield check_processor()
    yield check_memory()
    if any(package.remedy is not None for package in packages):
        return  # further checks would fail for the same reason
    loading = attempt("import of torch", load_torch)
    yield loading
    if loading.remedy is not None:
        return
    yield attempt("import of the other packages", load_packages)
    if _fairseq_version() is not None:
        yield attempt("import of fairseq", load_fairseq)
    yield attempt("threads", check_threads)
    yield attempt("GPU", check_gpu)
    from gnmt.precision import PRECISIONS

    for precision in PRECISIONS:
        yield attempt(f"round trip in {precision}", partial(try_precision, precision))
    if model is not None:
        yield attempt(f"model {model}", lambda: try_model(model))


def attempt(name: str, check: Callable[[], str]) -> Finding:
    """Runs a check and returns its result; suppresses output of libraries.

    Args:
        name: name of the check.
        check: returns its finding, or raises.
    """
    silence = io.StringIO()
    try:
        with contextlib.redirect_stdout(silence), contextlib.redirect_stderr(silence), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Finding(name, check())
    except NotSupported as reason:
        return Finding(name, str(reason), is_supported=False)
    except UserError as error:
        return Finding(name, "failed", str(error))
    except Exception as error:  # an unexpected failure is a finding too
        if isinstance(error, OSError) and error.errno in FOLDER_FAILS:
            return Finding(
                name, str(error), "Make room on the disk, or name another folder for temporary files with TMPDIR."
            )
        reinstall = "Install the packages again: run pip install --force-reinstall -e . in the checkout of fairseq-gnmt"
        return Finding(name, f"{type(error).__name__}: {error}", reinstall)


def check_python() -> Finding:
    """Checks the version of Python."""
    minimum = ".".join(map(str, MIN_PYTHON))
    remedy = None if sys.version_info[:2] >= MIN_PYTHON else f"Install Python {minimum} or later."
    return Finding("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}", remedy)


def check_fairseq() -> Finding:
    """Returns the version of fairseq, which only training requires."""
    return Finding("fairseq", _fairseq_version() or f"not installed; training needs it: {extras.remedy('fairseq')}")


def check_server() -> Finding:
    """Returns the version of uvicorn, which only the server requires."""
    return Finding("uvicorn", _version("uvicorn") or f"not installed; gnmt serve needs it: {extras.remedy('serve')}")


def check_package(name: str, minimum: str) -> Finding:
    """Checks that a package is installed, in the minimum version or later.

    Args:
        name: name of the package on PyPI.
        minimum: minimum version.
    """
    version = _version(name)
    is_enough = version is not None and _numbers(version) >= _numbers(minimum)
    return Finding(name, version or "not installed", None if is_enough else f"pip install '{name}>={minimum}'")


def check_processor() -> Finding:
    """Returns the processor and the features that determine speed."""
    name, flags = processor().get("model name", "unknown"), processor().get("flags", "").split()
    features = [feature for feature in FEATURES if feature in flags]
    return Finding("processor", f"{name} ({', '.join(features) or 'no vector features known'})")


def check_memory() -> Finding:
    """Checks the available memory."""
    available = available_memory()
    if available is None:
        return Finding("memory", "unknown")
    remedy = None if available >= MIN_MEMORY_BYTES else "Close other programs: large models need more memory."
    return Finding("memory", f"{available / 2**30:.1f} GiB available", remedy)


def load_torch() -> str:
    """Imports torch, which fails if the installation is incomplete."""
    start = time.perf_counter()
    import torch  # noqa: F401

    return f"{time.perf_counter() - start:.1f} s"


def load_packages() -> str:
    """Imports the packages of a translator.

    Raises:
        UserError: if a package cannot be imported.
    """
    for name in PACKAGES:
        try:
            importlib.import_module(name)
        except Exception as error:
            raise UserError(
                f"{name} cannot be imported ({error}): run pip install --force-reinstall --no-deps {name}."
            ) from error
    return ", ".join(PACKAGES)


def load_fairseq() -> str:
    """Imports fairseq in a process of its own, as training does.

    Raises:
        UserError: if it cannot be imported.
    """
    done = subprocess.run([sys.executable, "-c", "import fairseq"], capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise UserError(f"fairseq cannot be imported ({reason}): {extras.remedy('fairseq')}.")
    return "done"


def _fairseq_version() -> Optional[str]:
    return _version(TRAINING) or _version("fairseq")


def check_threads() -> str:
    """Compares the number of torch threads with the number of cores of this process.

    Raises:
        UserError: if there are more threads than cores.
    """
    import torch

    cores = available_cores()
    threads = torch.get_num_threads()
    if threads > cores:
        raise UserError(
            f"torch uses {threads} threads on {cores} cores: set OMP_NUM_THREADS={cores}, or give --threads {cores}."
        )
    return f"{threads} on {cores} cores"


def check_gpu() -> str:
    """Returns the GPU that torch uses.

    Raises:
        UserError: if there is a GPU that torch cannot use.
    """
    import torch

    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info(0)
        return f"{torch.cuda.get_device_name(0)}, {free / 2**30:.1f} of {total / 2**30:.1f} GiB free"
    if shutil.which("nvidia-smi") is not None:
        reason = (
            "is built without CUDA" if torch.version.cuda is None else f"needs a driver for CUDA {torch.version.cuda}"
        )
        raise UserError(
            f"There is a GPU, but torch {torch.__version__} {reason}: see pytorch.org/get-started for another build."
        )
    return "none; translation runs on the CPU"


def try_precision(precision: str) -> str:
    """Writes a tiny random model in a precision, loads it and translates with it on the CPU.

    Raises:
        UserError: if a translation depends on its batch.
    """
    import torch

    from gnmt.checkpoints.model_config import GenerationConfig, ModelConfig
    from gnmt.checkpoints.model_folder import TokenizerFiles, write_model_folder
    from gnmt.network.gnmt import GNMTNetwork
    from gnmt.tokenizers.vocabulary import Vocabulary
    from gnmt.translator import Translator

    vocabulary = Vocabulary(["▁a", "▁b", "c"])
    config = ModelConfig(16, 2, 2, len(vocabulary), len(vocabulary), "aa", "bb", precision=precision)
    with torch.random.fork_rng(), tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(1)
        network = GNMTNetwork(config.network)
        write_model_folder(
            Path(folder),
            network,
            config,
            GenerationConfig(max_len_b=5),
            vocabulary,
            vocabulary,
            TokenizerFiles("words"),
            "",
        )
        translator = Translator.from_pretrained(folder)
        if translator.precision != precision:
            raise NotSupported("not supported on a CPU")
        texts: List[str] = ["a b c", "b"]
        batch_tokens = [translation.tokens for translation in translator.translate(texts)]
        single_tokens = [translator.translate([text])[0].tokens for text in texts]
    if batch_tokens != single_tokens:
        raise UserError("A translation depends on its batch: report this with the versions above.")
    return "translates"


def try_model(path: Path) -> str:
    """Loads a model folder and translates with it."""
    from gnmt.translator import Translator

    translator = Translator.from_pretrained(path)
    translator.translate(["1 2 3."])
    return f"{translator.source_language} to {translator.target_language}, {translator.precision}"


def _version(package: str) -> Optional[str]:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _numbers(version: str) -> Tuple[int, ...]:
    """Returns the leading numbers of a version: (2, 6, 0) for "2.6.0+cpu"."""
    return tuple(map(int, re.findall(r"\d+", re.sub(r"[^\d.].*", "", version))))
