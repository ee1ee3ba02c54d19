"""Tests the generator, which returns hypotheses in fairseq's form.

Expected hypotheses come from the unprepared model.
"""

from types import SimpleNamespace

import pytest
import torch

from conftest import make_dictionary, make_model
from fairseq_gnmt.search.generator import GNMTGenerator
from gnmt.inference import gates
from gnmt.search.options import SearchOptions

DICTIONARY = make_dictionary(12)
SOURCE = torch.tensor([[4, 5, 6, 2], [1, 1, 7, 2]])


def test_hypotheses_may_be_changed():
    """The search runs in inference mode; its tensors must still allow in-place changes and gradients afterwards."""
    model = make_model("gnmt_v2_tiny", DICTIONARY, init_range=0.5)
    model.prepare_for_inference_(SimpleNamespace(generation=SimpleNamespace()))
    generator = GNMTGenerator([model], DICTIONARY, SearchOptions(beam=2, nbest=2, max_len_b=5))
    sample = {"net_input": {"src_tokens": SOURCE, "src_lengths": SOURCE.ne(1).sum(dim=1)}}
    for hypotheses in generator.generate([model], sample):
        assert len(hypotheses) == 2
        for hypothesis in hypotheses:
            for name in ("tokens", "score", "positional_scores", "attention"):
                hypothesis[name].add_(1)
                assert not hypothesis[name].is_inference()
            (hypothesis["score"] * torch.ones(1, requires_grad=True)).backward()


@pytest.mark.parametrize("shared_from", [0, 10**6])
def test_a_prepared_model_translates_as_before(shared_from, device, monkeypatch):
    """Prepared products use packed weights, with or without sharing among the rows of a beam; sentences end at
    different steps.
    """
    monkeypatch.setattr(gates, "MIN_SHARED_ELEMENTS", shared_from)
    monkeypatch.setattr(gates, "TABLE_BYTES", 0)
    model = make_model("gnmt_v2_tiny", DICTIONARY, init_range=1.5, device=device)
    model.eval()
    source = torch.randint(4, 12, (24, 6), generator=torch.Generator().manual_seed(3))
    source[:, -1] = 2
    sample = {"net_input": {"src_tokens": source.to(device), "src_lengths": torch.full((24,), 6, device=device)}}
    options = SearchOptions(beam=4, nbest=2, max_len_b=8)
    before = GNMTGenerator([model], DICTIONARY, options).generate([model], sample)
    model.prepare_for_inference_(SimpleNamespace(generation=SimpleNamespace()))
    after = GNMTGenerator([model], DICTIONARY, options).generate([model], sample)
    assert len({len(hypothesis["tokens"]) for hypothesis, *_ in before}) > 1
    for expected, actual in zip(sum(before, []), sum(after, [])):
        assert torch.equal(actual["tokens"], expected["tokens"])
        torch.testing.assert_close(actual["score"], expected["score"], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(actual["attention"], expected["attention"], rtol=1e-4, atol=1e-5)
