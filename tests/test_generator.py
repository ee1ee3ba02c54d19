"""What fairseq gets from the search."""
from types import SimpleNamespace

import torch

from conftest import make_dictionary, make_model
from fairseq_gnmt.search.generator import GNMTGenerator
from fairseq_gnmt.search.options import SearchOptions

DICTIONARY = make_dictionary(12)
SOURCE = torch.tensor([[4, 5, 6, 2], [1, 1, 7, 2]])


def test_hypotheses_may_be_changed():
    """The search runs in inference mode, whose own tensors refuse to be changed afterwards, or to take part in a gradient."""
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
