import pytest
import torch

from fairseq_gnmt.search.vocabulary import FEWEST_LOGITS, GROUPS, log_normalizer, top_tokens


@pytest.mark.parametrize("vocabulary", [2 * GROUPS, 2 * GROUPS + 1, 8008, 32000, GROUPS - 1, 7])
@pytest.mark.parametrize("count", [1, 10, 24])
def test_two_stages_find_what_one_finds(vocabulary, count):
    rows = FEWEST_LOGITS // vocabulary + 1
    logits = torch.randn(rows, vocabulary, generator=torch.Generator().manual_seed(1))
    best, tokens = top_tokens(logits, count)
    expected = logits.topk(min(count, vocabulary), dim=1)
    assert torch.equal(best, expected.values)
    assert torch.equal(tokens, expected.indices)


def test_ties_and_banned_tokens():
    logits = torch.full((FEWEST_LOGITS // 1000 + 1, 1000), float("-inf"))
    logits[:, [3, 3 + GROUPS, 999, 998]] = torch.tensor([2.0, 2.0, 2.0, 1.0])  # a group twice, and the ungrouped rest
    best, tokens = top_tokens(logits, 5)
    assert best[0].tolist() == [2.0, 2.0, 2.0, 1.0, float("-inf")]
    assert sorted(tokens[0, :3].tolist()) == [3, 3 + GROUPS, 999]
    assert tokens[0, 3] == 998
    assert len(set(tokens[0].tolist())) == 5


def test_log_normalizer_is_logsumexp():
    logits = 50 * torch.randn(5, 300, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    logits[:, 7] = float("-inf")
    torch.testing.assert_close(log_normalizer(logits), logits.logsumexp(dim=1, keepdim=True), rtol=1e-12, atol=1e-12)


def test_log_normalizer_shows_what_is_not_a_number():
    logits = torch.zeros(2, 9)
    logits[1, 4] = float("nan")
    assert log_normalizer(logits).isnan().flatten().tolist() == [False, True]
