"""Tests that a training step reads no value of a tensor, which would synchronise CPU and GPU, and mixes no devices.

All tensors are on the meta device and have no values, so reading a value or using a CPU tensor raises an error.
"""

from types import SimpleNamespace

import pytest
import torch

from conftest import make_dictionary, make_model
from fairseq_gnmt.criterions.label_smoothed_cross_entropy import GNMTLabelSmoothedCrossEntropy, non_padding_positions

DICTIONARY = make_dictionary(23)
PAD = DICTIONARY.pad()


def test_non_padding_positions_by_hand():
    target = torch.tensor([[5, 6, PAD], [PAD, PAD, 7], [8, PAD, 9]])
    assert non_padding_positions(target, PAD, 5).tolist() == [0, 1, 5, 6, 8]


@pytest.mark.parametrize("precision", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize(
    "options",
    [{}, {"activation_clip": 0.5}, {"checkpoint_activations": True}, {"attention_query": "previous"}],
    ids=["plain", "clipped", "recomputed", "previous query"],
)
def test_a_training_step_reads_no_value(options, precision):
    model = make_model("gnmt_v2_tiny", DICTIONARY, **options).train().to("meta", precision)
    criterion = GNMTLabelSmoothedCrossEntropy(SimpleNamespace(target_dictionary=DICTIONARY), 0.1, True)
    words = torch.empty(3, 5, dtype=torch.long, device="meta")
    net_input = {"src_tokens": words, "src_lengths": None, "prev_output_tokens": words}
    model.set_num_updates(7)
    loss, _, _ = criterion(model, {"net_input": net_input, "target": words, "ntokens": 11})
    loss.backward()
    assert loss.is_meta and all(parameter.grad is not None for parameter in model.parameters())
