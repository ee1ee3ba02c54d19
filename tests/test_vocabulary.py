"""The vocabulary at a search step: its best tokens, and those that may not or must be said."""
import math

import pytest
import torch

from fairseq_gnmt.search.history import Step
from fairseq_gnmt.search.options import SearchOptions
from fairseq_gnmt.search.vocabulary import (
    FEWEST_SCORES, GROUPS, SpecialTokens, ban_repeated_ngrams, restrict, top_tokens,
)


@pytest.mark.parametrize("vocabulary", [2 * GROUPS, 2 * GROUPS + 1, 8008, 32000, GROUPS - 1, 7])
@pytest.mark.parametrize("count", [1, 10, 24])
def test_two_stages_find_what_one_finds(vocabulary, count):
    rows = FEWEST_SCORES // vocabulary + 1
    scores = torch.randn(rows, vocabulary, generator=torch.Generator().manual_seed(1))
    best, tokens = top_tokens(scores, count)
    expected = scores.topk(min(count, vocabulary), dim=1)
    assert torch.equal(best, expected.values)
    assert torch.equal(tokens, expected.indices)


def test_ties_and_banned_tokens():
    scores = torch.full((FEWEST_SCORES // 1000 + 1, 1000), float("-inf"))
    scores[:, [3, 3 + GROUPS, 999, 998]] = torch.tensor([2.0, 2.0, 2.0, 1.0])  # a group twice, and the ungrouped rest
    best, tokens = top_tokens(scores, 5)
    assert best[0].tolist() == [2.0, 2.0, 2.0, 1.0, float("-inf")]
    assert sorted(tokens[0, :3].tolist()) == [3, 3 + GROUPS, 999]
    assert tokens[0, 3] == 998
    assert len(set(tokens[0].tolist())) == 5


def test_what_may_not_be_said():
    """Three rows after the start mark and the words 5 4 (the last one, 5 5); words are 4, 5, 6."""
    pad, eos, unk = 1, 2, 3
    rows, parents = torch.zeros(3, 1), torch.arange(3)
    words = ([eos, eos, eos], [5, 5, 5], [4, 4, 5])
    history = [Step(parents, torch.tensor(said), rows, rows) for said in words]
    probabilities = torch.tensor([[0.1, 0.2, 0.1, 0.2, 0.1, 0.2, 0.1]] * 3)
    probabilities[1, 5] = 0  # forced below, however unlikely
    options = SearchOptions(min_len=3, unkpen=math.log(4), no_repeat_ngram_size=2)
    restrict(probabilities, torch.tensor([pad, 5, pad]), history, options, SpecialTokens(pad, eos, unk, start=eos))
    tiny = torch.finfo(torch.float32).tiny
    expected = [
        [0.1, 0, 0, 0.05, 0.1, 0.2, 0.1],
        [0, 0, 0, 0, 0, tiny, 0],
        [0.1, 0, 0, 0.05, 0.1, 0, 0.1],  # 5 5 is there already
    ]
    assert torch.allclose(probabilities, torch.tensor(expected), atol=1e-9)
    assert probabilities[1, 5] == tiny


def test_ban_repeated_ngrams():
    probabilities = torch.full((2, 8), 1 / 8)
    ban_repeated_ngrams(probabilities, torch.tensor([[4, 5, 6, 4, 5], [4, 4, 4, 4, 4]]), size=3)
    banned = (probabilities == 0).nonzero().tolist()
    assert banned == [[0, 6], [1, 4]]
