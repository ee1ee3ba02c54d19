"""Tests the mixed objective against its formula, and the gradient of the expected reward against enumeration of all
samples.
"""

import itertools
import logging
from types import SimpleNamespace

import pytest
import torch
from conftest import make_dictionary, make_model

from fairseq_gnmt.criterions import mixed_objective
from fairseq_gnmt.criterions.label_smoothed_cross_entropy import GNMTLabelSmoothedCrossEntropy
from fairseq_gnmt.criterions.mixed_objective import (
    GNMTMixedObjective,
    advantages,
    first_decoder_tokens,
    stack_reference_and_samples,
)
from gnmt.errors import UserError
from gnmt.network.dropout import disable_dropout
from gnmt.search.sampling import Samples

BOS, PAD, EOS = 0, 1, 2


def make_criterion(dictionary, **options) -> GNMTMixedObjective:
    options = {
        "likelihood_weight": 0.017,
        "samples": 3,
        "sampling_temperature": 1.0,
        "reward_post_process": None,
        "label_smoothing": 0.0,
        "sentence_avg": True,
        **options,
    }
    return GNMTMixedObjective(SimpleNamespace(target_dictionary=dictionary), **options)


def padded(rows: list) -> torch.Tensor:
    return torch.tensor([[*row, *[PAD] * (max(map(len, rows)) - len(row))] for row in rows])


def make_batch(sources: list, targets: list, device="cpu") -> dict:
    target = padded([[*row, EOS] for row in targets]).to(device)
    source = padded([[*row, EOS] for row in sources]).to(device)
    return {
        "net_input": {
            "src_tokens": source,
            "src_lengths": source.ne(PAD).sum(dim=1),
            "prev_output_tokens": padded([[EOS, *row] for row in targets]).to(device),
        },
        "target": target,
        "ntokens": int(target.ne(PAD).sum()),
    }


def gradients(loss: torch.Tensor, model) -> list:
    return torch.autograd.grad(loss, list(model.parameters()), retain_graph=True)


# -- gradient estimate


def test_advantages_compare_with_the_other_samples():
    """0.6 is compared with the mean of 0.1 and 0.2, and so on; each term is a third of the estimate."""
    expected = torch.tensor([[0.6 - 0.15, 0.1 - 0.4, 0.2 - 0.35], [0.0, 0.0, 0.0]]) / 3
    torch.testing.assert_close(advantages(torch.tensor([[0.6, 0.1, 0.2], [0.5, 0.5, 0.5]])), expected)


@pytest.mark.parametrize("samples, temperature", [(2, 1.0), (3, 1.0), (2, 0.6)])
def test_mean_gradient_is_the_gradient_of_the_expected_reward(samples, temperature, monkeypatch):
    """The mean over all sets of samples, weighted by their probabilities, is d/dtheta of sum_Y P(Y) GLEU(Y).

    The vocabulary has five tokens, PAD is never sampled, and the limit is two tokens: 13 translations, 2197 sets of
    three.
    """
    dictionary = make_dictionary(5)
    model = make_model("gnmt_v2_tiny", dictionary, init_range=0.4, hidden_size=6).double()
    criterion = make_criterion(dictionary, samples=samples, sampling_temperature=temperature)
    batch = make_batch([[4, 3, 4]], [[4, 4]])
    vocabulary = [BOS, EOS, 3, 4]
    tokens = padded([(EOS,), *(pair for pair in itertools.product(vocabulary, repeat=2) if pair[0] != EOS)])  # (13, 2)
    rewards = criterion.rewards(tokens[None], batch["target"])[0].double()
    features = criterion.features(model, batch, tokens[None])[1]

    logits = (model.decoder.output_layer(features[0]) / temperature).index_fill(2, torch.tensor([PAD]), -1e9)
    log_probs = logits.log_softmax(dim=2).gather(2, tokens[:, :, None])[:, :, 0]
    probabilities = log_probs.masked_fill(tokens == PAD, 0).sum(dim=1).exp()
    assert len(tokens) == 13 and probabilities.sum().item() == pytest.approx(1)
    exact = gradients(-(probabilities * rewards).sum(), model)

    sets = torch.tensor(list(itertools.product(range(13), repeat=samples)))
    weighted = probabilities.detach()[sets].prod(dim=1, keepdim=True) * advantages(rewards[sets])
    # The loss is linear in the advantages, so the advantages of a translation are summed over all sets first.
    of_translations = torch.zeros(1, 13).double().index_add_(1, sets.flatten(), weighted.view(1, -1))
    monkeypatch.setattr(mixed_objective, "advantages", lambda _: of_translations)
    estimate = gradients(criterion.reward_loss(model, features, tokens[None], rewards[None]), model)
    assert max(gradient.abs().max() for gradient in exact) > 1e-3
    torch.testing.assert_close(estimate, exact, rtol=1e-9, atol=1e-12)


def slow_loss(model, batch, tokens, rewards, weight: float, temperature: float) -> torch.Tensor:
    """Slow twin, one sentence at a time: weight * nll of the references - sum_k (r_k - mean of the others) log P(Y_k) /
    K.
    """
    total = torch.zeros((), dtype=torch.double, device=tokens.device)
    for sentence, target in enumerate(batch["target"]):
        source = batch["net_input"]["src_tokens"][sentence]
        source = source[source != PAD][None]

        def log_prob(row, temperature, forbidden):
            row = row[row != PAD]
            logits = model(source, None, torch.cat([row.new_tensor([EOS]), row[:-1]])[None])[0][0] / temperature
            logits = logits.index_fill(1, row.new_tensor(forbidden), -1e9)
            return logits.log_softmax(dim=1).gather(1, row[:, None]).sum()

        total = total - weight * log_prob(target, 1.0, [])
        count = tokens.size(1)
        for k in range(count):
            others = [rewards[sentence, j] for j in range(count) if j != k]
            advantage = (rewards[sentence, k] - sum(others) / len(others)) / count
            total = total - advantage * log_prob(tokens[sentence, k], temperature, [PAD])
    return total


@pytest.fixture
def case(device):
    """Returns a model, three sentences and fixed samples: some are longer than each reference, one is truncated."""
    dictionary = make_dictionary(12)
    model = make_model("gnmt_v2_tiny", dictionary, init_range=0.4, hidden_size=8, dropout=0.3, device=device).double()
    batch = make_batch([[4, 5, 6], [7], [8, 9, 10, 11, 4]], [[5, 6], [7, 8, 9], [4]], device)
    samples = [
        [[5, 6, EOS], [5, EOS], [6, 5, 6, 7, 8, 9]],
        [[7, 8, 9, EOS], [EOS], [9, 8, 4, EOS]],
        [[4, EOS], [4, 4, EOS], [5, EOS]],
    ]
    tokens = padded([row for rows in samples for row in rows]).view(3, 3, -1).to(device)
    log_probs = -torch.ones(tokens.shape, device=device).masked_fill(tokens == PAD, 0)
    return dictionary, model, batch, Samples(tokens, log_probs)


def with_samples(monkeypatch, criterion, samples: Samples) -> None:
    monkeypatch.setattr(criterion, "draw", lambda network, sample: samples)


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_loss_and_gradient_equal_the_formula(case, temperature, monkeypatch):
    dictionary, model, batch, samples = case
    criterion = make_criterion(dictionary, sampling_temperature=temperature, likelihood_weight=0.3)
    with_samples(monkeypatch, criterion, samples)
    loss, sample_size, _ = criterion(model.train(), batch)
    assert sample_size == 3
    rewards = criterion.rewards(samples.tokens, batch["target"])
    slow = slow_loss(model, batch, samples.tokens, rewards, 0.3, temperature)
    assert loss.item() == pytest.approx(slow.item(), rel=1e-6)
    # rewards are float32
    torch.testing.assert_close(gradients(loss, model), gradients(slow, model), rtol=1e-5, atol=1e-7)


def test_rewards_by_hand(case):
    dictionary, _, batch, samples = case
    expected = [
        [1, 1 / 3, 3 / 18],  # 5 6 -> 5; 6 5 6 7 8 9 has 6 + 5 + 4 + 3 n-grams, with matches 5, 6 and 5 6
        [1, 0, 2 / 6],  # 7 8 9 -> 9 8 4: two words
        [1, 1 / 3, 0],
    ]
    rewards = make_criterion(dictionary).rewards(samples.tokens, batch["target"])
    torch.testing.assert_close(rewards, torch.tensor(expected).to(rewards))


def test_logged_statistics(case, monkeypatch):
    dictionary, model, batch, samples = case
    criterion = make_criterion(dictionary)
    with_samples(monkeypatch, criterion, samples)
    logged = criterion(model.train(), batch)[2]
    alone = GNMTLabelSmoothedCrossEntropy(criterion.task, 0.0, True)(model.eval(), batch)[2]
    for name in ("loss", "nll_loss", "ntokens", "nsentences", "sample_size"):
        assert float(logged[name]) == pytest.approx(float(alone[name]))
    assert logged["samples"] == 9
    assert logged["sampled_tokens"] == logged["sampled_nll"] == 27  # each token has log-probability -1
    assert logged["reward"].item() == pytest.approx((1 + 1 / 3 + 1 / 6) / 3 + 4 / 9 + 4 / 9)


def test_two_halves_of_a_batch_are_the_whole(case, monkeypatch):
    """Gradients summed over processes therefore equal one process with all sentences."""
    dictionary, model, batch, samples = case
    criterion = make_criterion(dictionary)
    losses = []
    for part in (slice(None), slice(1), slice(1, None)):
        with_samples(monkeypatch, criterion, Samples(*(field[part] for field in samples)))
        net_input = {name: field[part] for name, field in batch["net_input"].items()}
        target = batch["target"][part]
        sample = {"net_input": net_input, "target": target, "ntokens": int(target.ne(PAD).sum())}
        losses.append(criterion(model.train(), sample)[0])
    whole, *halves = losses
    torch.testing.assert_close(gradients(sum(halves), model), gradients(whole, model), rtol=1e-9, atol=1e-12)


# -- rewards, logging, options


def test_samples_are_drawn_from_the_model(case):
    """Log-probabilities of samples without dropout equal one pass; length limits are kept."""
    dictionary, model, batch, _ = case
    criterion = make_criterion(dictionary, samples=8)
    disable_dropout(model.train())
    torch.manual_seed(3)
    samples = criterion.draw(model, batch)
    features = criterion.features(model, batch, samples.tokens)[1]
    bias = torch.zeros(12).double().index_fill(0, torch.tensor([PAD]), -1e9)
    log_probs = (model.decoder.output_layer(features) + bias).log_softmax(dim=3)
    log_probs = log_probs.gather(3, samples.tokens[..., None])[..., 0].masked_fill(samples.tokens == PAD, 0)
    torch.testing.assert_close(samples.log_probs, log_probs.float(), rtol=1e-4, atol=1e-5)
    lengths = samples.tokens.ne(PAD).sum(dim=2).max(dim=1).values
    assert (lengths <= torch.tensor([7, 9, 6])).all()


def test_both_terms_are_without_dropout(case):
    dictionary, model, batch, _ = case
    criterion = make_criterion(dictionary)
    losses = []
    for p in (0.3, 0.9):
        model.decoder.stack.dropout.p = model.encoder.dropout.p = p
        torch.manual_seed(4)
        losses.append(criterion(model.train(), batch)[0])
    assert losses[0] == losses[1]
    assert model.encoder.training  # cuDNN's LSTM has no gradient in evaluation mode


def test_validation_uses_the_likelihood(case):
    dictionary, model, batch, _ = case
    criterion = make_criterion(dictionary, label_smoothing=0.1)
    expected = GNMTLabelSmoothedCrossEntropy(criterion.task, 0.1, True)(model.eval(), batch)
    loss, sample_size, logged = criterion(model.eval(), batch)
    assert (loss, sample_size, logged) == expected


def test_references_padded_on_the_left():
    previous = torch.tensor([[PAD, EOS, 4], [EOS, 5, 6]])
    assert first_decoder_tokens(previous, PAD).tolist() == [EOS, EOS]
    samples = torch.tensor([[[EOS, 7, 8, 9]], [[EOS, PAD, PAD, PAD]]])
    expected = [
        [[PAD, EOS, 4, PAD], [EOS, 7, 8, 9]],
        [[EOS, 5, 6, PAD], [EOS, PAD, PAD, PAD]],
    ]
    assert stack_reference_and_samples(previous, samples, PAD).tolist() == expected


def test_an_untrained_model_causes_a_warning(case, monkeypatch, caplog):
    dictionary, model, batch, samples = case
    criterion = make_criterion(dictionary)
    with_samples(monkeypatch, criterion, samples)
    with caplog.at_level(logging.WARNING):
        criterion(model.train(), batch)
        assert not caplog.records
        criterion = make_criterion(dictionary)
        with_samples(monkeypatch, criterion, Samples(torch.full((3, 3, 1), EOS), torch.zeros(3, 3, 1)))
        for _ in range(2):
            criterion(model.train(), batch)
    assert [("finetune-from-model" in record.getMessage()) for record in caplog.records] == [True]


@pytest.mark.parametrize(
    "option, value, words",
    [
        ("samples", 1, "--samples is 1, but must be at least 2"),
        ("likelihood_weight", -1.0, "--likelihood-weight is -1.0, but must be 0"),
        ("sampling_temperature", 0.0, "--sampling-temperature is 0.0, but must be above 0"),
        ("label_smoothing", 1.0, "--label-smoothing is 1.0"),
    ],
)
def test_options_out_of_range(option, value, words):
    with pytest.raises(UserError, match=words):
        make_criterion(make_dictionary(8), **{option: value})


def test_other_architectures_are_refused(case):
    dictionary, _, batch, _ = case
    with pytest.raises(UserError, match="samples from GNMT models, but this is a Linear"):
        make_criterion(dictionary)(torch.nn.Linear(2, 2).train(), batch)


def test_clipped_models_are_refused(case):
    dictionary, _, batch, _ = case
    clipped = make_model("gnmt_v2_tiny", dictionary, activation_clip=1.0).train()
    with pytest.raises(UserError, match="refine first, then clip"):
        make_criterion(dictionary)(clipped, batch)
