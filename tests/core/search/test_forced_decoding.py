"""Tests forced decoding against values worked out by hand and against one pass through the network."""

import pytest
import torch

from conftest import make_dictionary, make_model
from gnmt.search.ensemble import Ensemble
from gnmt.search.forced_decoding import force_decode

DICTIONARY = make_dictionary(12)
SOURCE = torch.tensor([[4, 5, 6, 2], [1, 1, 7, 2]])
LENGTHS = torch.tensor([4, 2])
READ = torch.tensor([[2, 5, 4, 8], [2, 9, 1, 1]])
TARGET = torch.tensor([[5, 4, 8, 2], [9, 2, 1, 1]])


class FixedModel:
    """Model that gives each row the probabilities 0.5, 0.25, 0.25, rotated by t at step t."""

    def start(self, src_tokens):
        return 0

    def step(self, tokens, state):
        return torch.tensor([0.5, 0.25, 0.25]).roll(state).repeat(len(tokens), 1), torch.ones(len(tokens), 1), state + 1


def test_by_hand():
    target = torch.tensor([[0, 0, 2], [2, 1, 1]])
    # row 0: 0.5, then 0.25 (rotated by one), then 0.5; row 1: 0.25, then PAD
    scores = force_decode(FixedModel(), SOURCE, torch.zeros_like(target), target, pad=1).log_probs
    assert scores.exp().tolist() == [[0.5, 0.25, 0.5], [0.25, 1.0, 1.0]]


@torch.no_grad()
@pytest.mark.parametrize("arch", ["gnmt_v2_tiny", "gnmt"])
def test_equals_one_pass_through_the_network(arch):
    model = make_model(arch, DICTIONARY, init_range=0.5, hidden_size=16)
    logits, _ = model(SOURCE, LENGTHS, READ)
    expected = logits.log_softmax(dim=2).gather(2, TARGET[:, :, None])[:, :, 0].masked_fill(TARGET == 1, 0.0)
    actual = force_decode(Ensemble([model]), SOURCE, READ, TARGET, pad=1).log_probs
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)
    model.make_generation_fast_()
    rounded = force_decode(Ensemble([model], precision="int8"), SOURCE, READ, TARGET, pad=1).log_probs
    assert not torch.equal(rounded, actual)
    torch.testing.assert_close(rounded, actual, rtol=0, atol=0.1)  # each product has an error of about 1 %
