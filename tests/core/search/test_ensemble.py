"""Tests ensembles of models. Expected averages are worked out by hand."""

import pytest
import torch
from conftest import make_dictionary, make_model

from gnmt.errors import UserError
from gnmt.search.ensemble import Ensemble

DICTIONARY = make_dictionary(12)
SOURCE = torch.tensor([[4, 5, 6, 2], [7, 2, 1, 1]])
START = torch.full((2, 1), 2)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
@pytest.mark.parametrize("count", [1, 3])
def test_probabilities_and_attention_are_averaged(count, temperature, device):
    models = [make_model("gnmt_v2_tiny", DICTIONARY, seed, init_range=0.5, device=device) for seed in range(count)]
    source, start = SOURCE.to(device), START.to(device)
    ensemble = Ensemble(models, temperature)
    with torch.no_grad():
        probabilities, attention, _ = ensemble.step(start[:, 0], ensemble.start(source))
        whole = [model(source, source.ne(1).sum(dim=1), start) for model in models]
    expected = sum((logits[:, 0] / temperature).softmax(dim=1) for logits, _ in whole) / count
    torch.testing.assert_close(probabilities, expected)
    torch.testing.assert_close(attention, sum(extra["attn"][0][:, 0] for _, extra in whole) / count)
    assert probabilities.dtype == attention.dtype == torch.float32


def test_a_search_may_be_built_before_its_model_is_prepared():
    """For checkpoints trained with --eval-bleu, fairseq builds the search before it prepares the model for inference."""
    model = make_model("gnmt_v2_tiny", DICTIONARY, init_range=0.5)
    ensemble = Ensemble([model], precision="int8")
    with pytest.raises(UserError, match="is for translation, not for training"):
        ensemble.start(SOURCE)
    model.make_generation_fast_()
    with torch.no_grad():
        probabilities, _, _ = ensemble.step(START[:, 0], ensemble.start(SOURCE))
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(2))
