"""Collation of batches by fairseq's data sets."""

from types import SimpleNamespace
from typing import Any, Dict

import torch
from fairseq.data import Dictionary
from fairseq.data.language_pair_dataset import collate
from fairseq.utils import apply_to_sample

from benchmarking.workload import Batch


def task_of(dictionary: Dictionary) -> SimpleNamespace:
    """Returns the parts of a fairseq task that models and criterions use."""
    return SimpleNamespace(source_dictionary=dictionary, target_dictionary=dictionary)


def fairseq_sample(batch: Batch, dictionary: Dictionary, device: str = "cpu") -> Dict[str, Any]:
    """Returns a batch of fairseq: sources padded on the left, targets on the right, decoder inputs from EOS.

    Args:
        batch: sentence pairs.
        dictionary: dictionary of both languages.
        device: device of the result.
    """
    end = [dictionary.eos()]
    pairs = [
        {"id": index, "source": torch.tensor(source + end), "target": torch.tensor(target + end)}
        for index, (source, target) in enumerate(zip(batch.sources, batch.targets))
    ]
    sample = collate(pairs, dictionary.pad(), dictionary.eos())
    # Pairs are sorted by source length; fairseq's sort must not swap equal lengths, or translations would be mixed up.
    order = sample["id"]
    if not order.equal(torch.arange(len(order))):
        sample = _in_order(sample, order.argsort())
    return apply_to_sample(lambda tensor: tensor.to(device), sample)


def _in_order(sample: Dict[str, Any], order: torch.Tensor) -> Dict[str, Any]:
    net_input = {key: value[order] for key, value in sample["net_input"].items()}
    return {**sample, "id": sample["id"][order], "target": sample["target"][order], "net_input": net_input}
