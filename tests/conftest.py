"""Fixtures shared by all tests: dictionaries, small models, and golden arrays of NVIDIA's code."""

import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Dict

import numpy as np
import pytest
import torch
from fairseq.data import Dictionary
from fairseq.models import MODEL_REGISTRY
from model_folders import LINES, make_model_folder

import fairseq_gnmt  # noqa: F401  registers everything
from gnmt.translator import Translator

DEVICES = ["cpu"]
if torch.cuda.is_available():
    DEVICES.append(pytest.param("cuda", marks=pytest.mark.gpu))
TESTS = Path(__file__).parent
GOLDEN = TESTS / "golden"
# time limit of a test in seconds, on a busy machine
TIME_LIMITS = {"unit": 300, "tools": 300, "end_to_end": 900, "slow": 3600}


def pytest_configure(config):
    torch.set_num_threads(1)  # two test processes share two cores
    # SIGINT is ignored in background jobs of scripts, and commands would inherit this
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # By default cuDNN uses TF32 for RNNs, whose 10-bit mantissa is too imprecise for the tolerances.
    torch.backends.cudnn.allow_tf32 = False


def kind_of(item: pytest.Item) -> str:
    """Returns "unit", "tools" or "end_to_end", by the folder of the test or by its marker."""
    if item.get_closest_marker("end_to_end"):
        return "end_to_end"
    return next((name for name in ("end_to_end", "tools") if TESTS / name in item.path.parents), "unit")


def pytest_collection_modifyitems(items):
    """Marks tests by their folder, sets their time limits, and orders them: unit tests first, end-to-end tests last."""
    kinds = {item: kind_of(item) for item in items}
    for item, kind in kinds.items():
        if kind != "unit":
            item.add_marker(kind)
        if not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(TIME_LIMITS["slow" if item.get_closest_marker("slow") else kind]))
    items.sort(key=lambda item: list(TIME_LIMITS).index(kinds[item]))


@pytest.fixture(params=DEVICES)
def device(request) -> torch.device:
    """Fixture: each device of this machine; the test runs once on each."""
    return torch.device(request.param)


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory) -> Path:
    """Fixture: a model folder of a random network."""
    return make_model_folder(tmp_path_factory.mktemp("random") / "model")


@pytest.fixture
def translated_lines(model_folder):
    """Fixture: the translations of LINES by `Translator`."""
    return Translator.from_pretrained(model_folder).translate(LINES)


def make_dictionary(size: int) -> Dictionary:
    """Returns a dictionary of `size` entries, including fairseq's four special tokens."""
    dictionary = Dictionary()
    for index in range(size - dictionary.nspecial):
        dictionary.add_symbol(f"w{index}")
    return dictionary


def make_model(arch: str, dictionary: Dictionary, seed: int = 1, target_dictionary=None, device=None, **options):
    """Returns a model of a registered architecture with the given sizes, in evaluation mode.

    Its weights do not depend on the device.
    """
    torch.manual_seed(seed)
    model_class = MODEL_REGISTRY[arch]
    config = model_class.config_class(**options)
    task = SimpleNamespace(source_dictionary=dictionary, target_dictionary=target_dictionary or dictionary)
    return model_class.build_model(config, task).eval().to(device=device)


def with_threads(numbers, call) -> list:
    """Returns the results of `call` for each number of threads."""
    before, results = torch.get_num_threads(), []
    try:
        for threads in numbers:
            torch.set_num_threads(threads)
            results.append(call())
    finally:
        torch.set_num_threads(before)
    return results


class Golden:
    """Arrays computed by NVIDIA's network, converted to the batch-first layout."""

    def __init__(self, name: str):
        arrays = np.load(GOLDEN / f"{name}.npz")
        self.weights: Dict[str, torch.Tensor] = {
            key[len("state_dict.") :]: torch.from_numpy(arrays[key]) for key in arrays if key.startswith("state_dict.")
        }
        self.source = torch.from_numpy(arrays["src"]).t().contiguous()  # (B, S)
        self.source_lengths = torch.from_numpy(arrays["src_lengths"])
        self.target = torch.from_numpy(arrays["tgt"]).t().contiguous()  # (B, T + 1), from BOS to EOS
        self.encoder_out = torch.from_numpy(arrays["encoder_out"]).transpose(0, 1)  # (B, S, H)
        self.logits = torch.from_numpy(arrays["logits"]).transpose(0, 1)  # (B, T, V)
        self.attention = torch.from_numpy(arrays["attention"]).transpose(0, 1)  # (B, T, S)
        self.loss = float(arrays["label_smoothing_loss"])

    def to(self, device: torch.device) -> None:
        """Moves all arrays except the weights to a device."""
        for name, value in vars(self).items():
            if isinstance(value, torch.Tensor):
                setattr(self, name, value.to(device))

    @property
    def vocabulary(self) -> int:
        return self.logits.size(-1)


@pytest.fixture(params=["tiny_4_layers", "tiny_8_layers", "tiny_unshared"])
def golden(request) -> Golden:
    return Golden(request.param)
