"""Tests that the documented initial loss scales do not overflow in the first update of a small network."""

import re
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Iterator, List

import pytest
import torch
import yaml

from conftest import make_dictionary, make_model
from fairseq_gnmt.criterions.label_smoothed_cross_entropy import GNMTLabelSmoothedCrossEntropy

ROOT = Path(__file__).resolve().parents[3]
DICTIONARY = make_dictionary(100)
LENGTH = 12  # tokens in a sentence, EOS included


def of_documents() -> List[tuple]:
    """Returns batch size, update frequency and loss scale of each documented command with all three."""
    numbers = r"--batch-size (\d+) --update-freq (\d+) --fp16 --fp16-init-scale (\d+)"
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "README.md", *ROOT.glob("docs/**/*.md"))]
    return sorted({tuple(map(int, values)) for text in texts for values in re.findall(numbers, text)})


def of_recipe() -> tuple:
    recipe = yaml.safe_load((ROOT / "fairseq_gnmt" / "config" / "gnmt_v2_wmt16.yaml").read_text())
    (update_freq,) = recipe["optimization"]["update_freq"]
    return recipe["dataset"]["batch_size"], update_freq, recipe["common"]["fp16_init_scale"]


def of_script(batch_size: int, update_freq: int) -> tuple:
    """Returns the loss scale of train.sh."""
    command = f"source examples/environment.sh; loss_scale {batch_size * update_freq}"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, encoding="utf-8", check=True)
    return batch_size, update_freq, int(done.stdout)


def batches(sentences: int, count: int, most_frequent: int) -> Iterator[dict]:
    """Returns random sentences; in each, one token occurs `most_frequent` times, once right before EOS."""
    torch.manual_seed(1)
    for _ in range(count):
        target = torch.randint(5, len(DICTIONARY), (sentences, LENGTH))
        target[:, -1 - most_frequent : -1] = 4
        target[:, -1] = DICTIONARY.eos()
        read = torch.cat([target[:, -1:], target[:, :-1]], dim=1)
        net_input = {"src_tokens": target, "src_lengths": None, "prev_output_tokens": read}
        yield {"net_input": net_input, "target": target, "ntokens": target.numel()}


def first_update_is_finite(batch_size: int, update_freq: int, scale: int, most_frequent: int = 2) -> bool:
    """Returns True if all gradients of a small network are finite.

    A bias has the same gradient in a large one: p - y, with p about 1 / V.
    """
    model = make_model("gnmt_v2", DICTIONARY, hidden_size=4, dropout=0.0).train().half()
    criterion = GNMTLabelSmoothedCrossEntropy(SimpleNamespace(target_dictionary=DICTIONARY), 0.1, True)
    for batch in batches(batch_size, update_freq, most_frequent):
        (scale * criterion(model, batch)[0]).backward()
    return all(bool(parameter.grad.isfinite().all()) for parameter in model.parameters())


@pytest.mark.parametrize("documented", [*of_documents(), of_recipe(), of_script(128, 8), of_script(100, 3)])
def test_the_documented_scale_does_not_overflow(documented):
    assert first_update_is_finite(*documented)


def test_four_times_the_scale_overflows_by_eos_alone():
    """0.9 * 1024 sentences * 128 > 65,504; NVIDIA's 8192 overflows, too."""
    batch_size, update_freq, scale = of_script(128, 8)
    assert 0.9 * 1024 * 2 * scale < 65504 < 0.9 * 1024 * 4 * scale
    assert not first_update_is_finite(batch_size, update_freq, 4 * scale, most_frequent=0)
    assert not first_update_is_finite(batch_size, update_freq, 8192, most_frequent=0)


@pytest.mark.parametrize("sentences, scale", [(1, 32768), (128, 256), (896, 32), (1024, 32), (1025, 16), (40000, 1)])
def test_the_scale_is_a_power_of_two(sentences, scale):
    assert of_script(sentences, 1)[2] == scale
