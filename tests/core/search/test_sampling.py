"""Tests sampling against a slow twin that draws one token after the other, with scripted models and a real network."""

import math

import pytest
import torch
from conftest import make_dictionary, make_model
from reference.exhaustive_search import EOS, PAD, UNK, Scripted, ScriptedEnsemble

from gnmt.search import sampling
from gnmt.search.beam_rules import BeamSearchRules
from gnmt.search.ensemble import Ensemble
from gnmt.search.options import SamplingOptions, SearchOptions
from gnmt.search.sampling import draw, draw_samples, uniform_noise
from gnmt.search.sampling_batch import SamplingBatch
from gnmt.search.search_queue import QueuedSentence
from gnmt.search.token_selection import SpecialTokens

VOCABULARY = 7
LIMIT = 6


def test_draw_by_hand(device):
    """Probabilities 1/2, 0, 1/8, 3/8 divide the unit interval in this order."""
    probabilities = torch.tensor([0.5, 0.0, 0.125, 0.375], device=device)
    noise = torch.tensor([0.0, 0.49, 0.51, 0.62, 0.63, 0.99999994], device=device)
    tokens, log_probs = draw(probabilities.repeat(len(noise), 1), noise)
    assert tokens.tolist() == [0, 0, 2, 2, 3, 3]
    expected = [math.log(p) for p in (1 / 2, 1 / 2, 1 / 8, 1 / 8, 3 / 8, 3 / 8)]
    torch.testing.assert_close(log_probs, torch.tensor(expected, device=device))


def test_draw_follows_the_distribution():
    """Evenly spaced noise draws each token in proportion to its probability, up to one count at each end."""
    torch.manual_seed(1)
    places, probabilities = 10_000, (2 * torch.randn(50)).softmax(0)
    noise = (torch.arange(places) + 0.5) / places
    tokens, _ = draw(probabilities.repeat(places, 1), noise)
    share = tokens.bincount(minlength=50) / places
    torch.testing.assert_close(share, probabilities, rtol=0, atol=2 / places)


def walk(model: ScriptedEnsemble, source: tuple, noise: list, limit: int) -> tuple:
    """Slow twin: returns tokens and log-probabilities of one sample."""
    tokens, log_probs = (), []
    while len(tokens) < limit and tokens[-1:] != (EOS,):
        all_log_probs, _ = model.next(source, tokens)
        probabilities = all_log_probs.index_fill(0, torch.tensor([PAD]), -math.inf).softmax(0).double().tolist()
        left = noise[len(tokens)]
        token = 0
        while left >= probabilities[token]:
            left -= probabilities[token]
            token += 1
        tokens += (token,)
        log_probs.append(math.log(probabilities[token]))
    return tokens, log_probs


def padded(rows: list, width: int, fill) -> list:
    return [[*row, *[fill] * (width - len(row))] for row in rows]


@pytest.mark.parametrize("leaving_share", [0.01, 1 / 8, 1])  # finished rows are removed at once, in time, or never
def test_samples_equal_the_slow_twin(leaving_share, monkeypatch):
    monkeypatch.setattr(sampling, "LEAVING_SHARE", leaving_share)
    model = ScriptedEnsemble([Scripted(seed=3, vocabulary=VOCABULARY)])
    sources = [(4, 5, EOS), (6, EOS), (5, 5, 4, 6, EOS)]
    limits = [LIMIT, 1, 4]
    noise = torch.rand(3, 20, LIMIT, generator=torch.Generator().manual_seed(1))
    samples = draw_samples(
        model, torch.tensor(padded(sources, 5, PAD)), torch.full((3,), EOS), noise, torch.tensor(limits), PAD, EOS
    )
    expected = [walk(model, sources[b], noise[b, k].tolist(), limits[b]) for b in range(3) for k in range(20)]
    tokens, log_probs = zip(*expected)
    longest = max(map(len, tokens))
    assert longest == LIMIT and min(map(len, tokens)) == 1  # some samples are truncated, some end at once
    assert samples.tokens.flatten(0, 1).tolist() == padded(tokens, longest, PAD)
    torch.testing.assert_close(samples.log_probs.flatten(0, 1), torch.tensor(padded(log_probs, longest, 0.0)))


def test_tokens_end_with_the_longest_sample():
    """The noise has room for six tokens and the limit is two; noise 0 always draws token 0."""
    model = ScriptedEnsemble([Scripted(seed=3, vocabulary=VOCABULARY)])
    noise, limits = torch.zeros(1, 2, LIMIT), torch.tensor([2])
    samples = draw_samples(model, torch.tensor([[4, EOS]]), torch.tensor([EOS]), noise, limits, PAD, EOS)
    assert samples.tokens.tolist() == [[[0, 0], [0, 0]]]


@pytest.fixture
def network(device):
    dictionary = make_dictionary(20)
    return make_model("gnmt_v2_tiny", dictionary, init_range=0.5, device=device)


def draw_from(network, sources: list, noise: torch.Tensor, temperature: float = 1.0):
    width = max(map(len, sources))
    tokens = torch.tensor(padded(sources, width, PAD), device=noise.device)
    start, limits = (torch.full((len(sources),), number, device=noise.device) for number in (EOS, noise.size(2)))
    return draw_samples(Ensemble([network], temperature), tokens, start, noise, limits, PAD, EOS)


SOURCES = [[4, 5, 6, EOS], [7, EOS], [8, 9, 10, 11, 12, 13, 14, EOS]]


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_log_probs_equal_one_pass(network, temperature, device):
    noise = torch.rand(3, 5, 9, generator=torch.Generator().manual_seed(2)).to(device)
    samples = draw_from(network, SOURCES, noise, temperature)
    tokens = samples.tokens.flatten(0, 1)
    assert (tokens == EOS).any() and (tokens[:, -1] != PAD).any()
    previous = torch.cat([torch.full_like(tokens[:, :1], EOS), tokens[:, :-1]], dim=1)
    source = torch.tensor(padded(SOURCES, 8, PAD), device=device)
    with torch.no_grad():
        logits = network(source, None, previous)[0] / temperature  # five rows for each sentence
    logits[:, :, PAD] = -math.inf
    log_probs = logits.log_softmax(dim=2).gather(2, tokens[:, :, None])[:, :, 0].masked_fill(tokens == PAD, 0)
    # float32; step by step, sums have another order
    torch.testing.assert_close(samples.log_probs.flatten(0, 1), log_probs, rtol=1e-4, atol=1e-5)


def test_other_sentences_have_no_influence(network, device):
    noise = torch.rand(3, 4, 9, generator=torch.Generator().manual_seed(5)).to(device)
    together = draw_from(network, SOURCES, noise)
    for sentence, source in enumerate(SOURCES):
        alone = draw_from(network, [source], noise[[sentence]])
        length = alone.tokens.size(2)
        assert torch.equal(alone.tokens[0], together.tokens[sentence, :, :length])
        assert (together.tokens[sentence, :, length:] == PAD).all()
        torch.testing.assert_close(alone.log_probs[0], together.log_probs[sentence, :, :length], rtol=1e-4, atol=1e-5)


def test_nan_scores_do_not_end_the_training(network):
    """fairseq then reports the loss as NaN, or repeats an update that overflowed in half precision."""
    tokens, log_probs = draw(torch.full((2, 5), math.nan), torch.rand(2))
    assert tokens.max() < 5 and log_probs.isnan().all()


def test_noise_differs_between_updates_and_processes():
    def noise(seed: int, process: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return uniform_noise((2, 3, 4), torch.device("cpu"), process)

    assert torch.equal(noise(1, 0), noise(1, 0))
    assert not torch.isin(noise(1, 0), noise(2, 0)).any()
    assert not torch.isin(noise(1, 0), noise(1, 1)).any()
    assert not torch.isin(uniform_noise((2, 3, 4), torch.device("cpu"), process=1), noise(1, 1)).any()


@torch.no_grad()
def test_samples_of_an_empty_source_are_empty(network):
    """Beam search and sampling agree: a source of only EOS has the translation EOS, alone and in a batch."""
    model = Ensemble([network])
    special = SpecialTokens(pad=PAD, eos=EOS, unk=UNK, decoder_start=EOS)
    rules = BeamSearchRules(special, SearchOptions(beam=3, nbest=3, max_len_b=4))
    device = next(network.parameters()).device
    for sources in ([[EOS]], [[EOS], [4, 5, EOS]]):
        batch = SamplingBatch(model, model, rules, SamplingOptions(), device)
        batch.join([QueuedSentence(index, source) for index, source in enumerate(sources)])
        results = batch.step()
        assert [hypothesis.tokens.tolist() for hypothesis in results[0].hypotheses] == [[EOS]] * 3
        assert len(results) == len(sources)


@torch.no_grad()
def test_samples_do_not_depend_on_the_limits_of_other_sentences(network):
    """The limit is |source| + 4, so a long source in the batch has a larger one."""
    model = Ensemble([network])
    special = SpecialTokens(pad=PAD, eos=EOS, unk=UNK, decoder_start=EOS)
    rules = BeamSearchRules(special, SearchOptions(beam=3, nbest=3, max_len_a=1, max_len_b=4))
    samples = []
    for sources in ([[4, 5, EOS]], [[4, 5, EOS], [*range(4, 14), EOS]]):
        batch = SamplingBatch(model, model, rules, SamplingOptions(), next(network.parameters()).device)
        batch.join([QueuedSentence(index, source) for index, source in enumerate(sources)])
        samples.append([hypothesis.tokens.tolist() for hypothesis in batch.step()[0].hypotheses])
    assert samples[0] == samples[1]
