import pytest
import torch

from fairseq_gnmt.search.vocabulary import FEWEST_SCORES, GROUPS, top_tokens


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
