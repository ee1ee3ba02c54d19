"""Tests selection of tokens at one search step: top-k, forbidden and forced tokens.

Expected tokens come from sorting all continuations or from hand calculation.
"""

import math

import pytest
import torch

from gnmt.search.backpointers import NO_TOKEN, BeamStep, History
from gnmt.search.options import SearchOptions
from gnmt.search.pruning import NEG_INF
from gnmt.search.token_selection import (
    GROUPS,
    SpecialTokens,
    ban_repeated_ngrams,
    best_continuations,
    apply_constraints,
    topk_in_order,
)


def plain_continuations(probabilities, log_probs, count, prune):
    """Slow twin: returns all continuations of all hypotheses, sorted."""
    token_log_probs = probabilities.view(*log_probs.shape, -1).log()
    if prune:
        token_log_probs[token_log_probs < token_log_probs.amax(dim=2, keepdim=True) - prune] = NEG_INF
    everything = (log_probs[:, :, None] + token_log_probs).flatten(1)
    best, places = everything.topk(min(count, everything.size(1)), dim=1)
    return best, places % probabilities.size(1), places // probabilities.size(1)


@pytest.mark.parametrize("vocabulary", [2 * GROUPS, 2 * GROUPS + 1, 8008, 32000, GROUPS + 1, GROUPS - 1, 7])
@pytest.mark.parametrize("count", [1, 10, 24, 700])
@pytest.mark.parametrize("hypotheses,prune", [(1, 0.0), (5, 0.0), (5, 1.5)])
def test_two_stages_equal_one_stage(vocabulary, count, hypotheses, prune):
    kind = {"generator": torch.Generator().manual_seed(1), "dtype": torch.float64}  # all values are different
    probabilities = torch.randn(3 * hypotheses, vocabulary, **kind).softmax(dim=1)
    log_probs = torch.randn(3, hypotheses, **kind)
    actual = best_continuations(probabilities, log_probs, count, prune)
    best, tokens, continued = plain_continuations(probabilities, log_probs, count, prune)
    torch.testing.assert_close(actual.log_probs, best)
    possible = best > NEG_INF
    assert possible[:, 0].all() and (possible.all() or prune or count > vocabulary * hypotheses)
    assert torch.equal(actual.tokens[possible], tokens[possible])
    assert torch.equal(actual.hypotheses[possible], continued[possible])
    assert (actual.tokens < vocabulary).all()


def test_ties_and_banned_tokens():
    """Tokens of equal probability: two in one group, and the last one, in the largest group. All others are banned."""
    vocabulary = 2 * GROUPS + 7
    last, before = vocabulary - 1, vocabulary - 2
    probabilities = torch.zeros(4, vocabulary)
    probabilities[:, [3, 3 + GROUPS, last, before]] = torch.tensor([0.25, 0.25, 0.25, 0.125])
    log_probs = torch.tensor([[0.0, NEG_INF], [NEG_INF, -1.0]])  # the second and third rows are no hypotheses
    actual = best_continuations(probabilities, log_probs, 5)
    for sentence, (log_prob, hypothesis) in enumerate([(0.0, 0), (-1.0, 1)]):
        expected = [log_prob + math.log(p) for p in (0.25, 0.25, 0.25, 0.125)]
        assert actual.log_probs[sentence].tolist() == pytest.approx([*expected, NEG_INF])
        assert sorted(actual.tokens[sentence, :3].tolist()) == [3, 3 + GROUPS, last]
        assert actual.tokens[sentence, 3] == before
        assert actual.hypotheses[sentence, :4].tolist() == [hypothesis] * 4


@pytest.mark.parametrize("length", [10, 600, 700, 3000])
def test_ties_go_to_the_first_tokens(length):
    """For k = 10, torch.topk uses other algorithms below and above 640 values."""
    rounded = torch.randn(4, length, generator=torch.Generator().manual_seed(1)).mul(2).round().sub(300)
    rounded[:, length // 2 :] = NEG_INF
    values, indices = topk_in_order(rounded, 5)
    expected = rounded.sort(dim=1, descending=True, stable=True)
    assert torch.equal(values, expected.values[:, :5]) and torch.equal(indices, expected.indices[:, :5])


@pytest.mark.parametrize("larger", [math.log(0.5), -5.0, -900.0])
def test_neighbouring_log_probabilities_keep_their_order_in_rows_of_16384(larger):
    log_probs = torch.full((1, 16_384), NEG_INF)
    log_probs[0, -1] = larger
    log_probs[0, 0] = torch.nextafter(log_probs[0, -1], torch.tensor(NEG_INF))
    assert topk_in_order(log_probs, 2).indices.tolist() == [[16_383, 0]]


def history_of(steps):
    history = History()
    for step in steps:
        history.append(step)
    return history


def test_forbidden_tokens():
    """Three rows after BOS and the tokens 5 4 (last row: 5 5); the vocabulary has the tokens 4, 5, 6."""
    pad, eos, unk = 1, 2, 3
    rows, backpointers = torch.zeros(3, 1), torch.arange(3)
    words = ([eos, eos, eos], [5, 5, 5], [4, 4, 5])
    history = history_of([BeamStep(backpointers, torch.tensor(emitted), rows, rows) for emitted in words])
    probabilities = torch.tensor([[0.1, 0.2, 0.1, 0.2, 0.1, 0.2, 0.1]] * 3)
    probabilities[1, 5] = 0  # forced below although its probability is 0
    options = SearchOptions(min_len=3, unkpen=math.log(4), no_repeat_ngram_size=2)
    forced, num_tokens = torch.tensor([pad, 5, pad]), torch.tensor([2, 2, 2])
    apply_constraints(
        probabilities, forced, history, num_tokens, options, SpecialTokens(pad, eos, unk, decoder_start=eos)
    )
    tiny = torch.finfo(torch.float32).tiny
    expected = [
        [0.1, 0, 0, 0.05, 0.1, 0.2, 0.1],
        [0, 0, 0, 0, 0, tiny, 0],
        [0.1, 0, 0, 0.05, 0.1, 0, 0.1],  # 5 5 has already occurred
    ]
    assert torch.allclose(probabilities, torch.tensor(expected), atol=1e-9)
    assert probabilities[1, 5] == tiny


def test_all_hypotheses_of_a_sentence_are_forced():
    """Two sentences with two rows each; the first has a forced token."""
    probabilities = torch.arange(1.0, 17.0).view(4, 4) / 16
    rows, backpointers = torch.zeros(4, 1), torch.arange(4)
    history = history_of([BeamStep(backpointers, torch.full((4,), 2), rows, rows)] * 3)
    forced, num_tokens = torch.tensor([3, 1]), torch.tensor([2, 2])
    apply_constraints(
        probabilities, forced, history, num_tokens, SearchOptions(), SpecialTokens(1, 2, 0, decoder_start=2)
    )
    expected = [[0, 0, 0, 4], [0, 0, 0, 8], [9, 0, 11, 12], [13, 0, 15, 16]]
    assert torch.equal(probabilities * 16, torch.tensor(expected, dtype=torch.float32))


def test_ban_repeated_ngrams():
    probabilities = torch.full((2, 8), 1 / 8)
    ban_repeated_ngrams(probabilities, torch.tensor([[4, 5, 6, 4, 5], [4, 4, 4, 4, 4]]), size=3)
    banned = (probabilities == 0).nonzero().tolist()
    assert banned == [[0, 6], [1, 4]]


def test_younger_rows_have_no_ngrams_of_older_ones():
    """The second row has one token and can repeat no bigram; the first would repeat 4 4."""
    probabilities = torch.full((2, 6), 1 / 6)
    ban_repeated_ngrams(probabilities, torch.tensor([[4, 4, 4], [NO_TOKEN, NO_TOKEN, 4]]), size=2)
    assert (probabilities == 0).nonzero().tolist() == [[0, 4]]


def test_eos_is_forbidden_below_the_minimum_length():
    probabilities = torch.full((2, 6), 1 / 6)
    forced, num_tokens = torch.tensor([1, 1]), torch.tensor([1, 2])
    apply_constraints(
        probabilities, forced, History(), num_tokens, SearchOptions(min_len=2), SpecialTokens(1, 2, 3, decoder_start=2)
    )
    assert (probabilities[:, 2] == 0).tolist() == [True, False]
