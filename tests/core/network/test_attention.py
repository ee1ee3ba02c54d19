"""Tests scores and gradients of the attention against the plain formula."""

import pytest
import torch

from gnmt.network import attention
from gnmt.network.attention import NormalizedBahdanauAttention


def plain(module: NormalizedBahdanauAttention, query, encoder_outputs, padding_mask):
    """Returns Bahdanau's formula, evaluated on the full (B, T, S, H) tensor."""
    sums = module.query_projection(query)[:, :, None] + module.key_projection(encoder_outputs)[:, None]
    direction = module.score_vector / module.score_vector.norm()
    scores = module.score_scale * (torch.tanh(sums + module.score_bias) * direction).sum(dim=-1)
    weights = scores.masked_fill(padding_mask[:, None], float("-inf")).softmax(dim=-1)
    return weights @ encoder_outputs, weights


@pytest.fixture
def case(device):
    torch.manual_seed(3)
    module = NormalizedBahdanauAttention(6).double().to(device)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter)
    query = torch.randn(4, 3, 6, dtype=torch.double).to(device).requires_grad_()
    outputs = torch.randn(4, 5, 6, dtype=torch.double).to(device).requires_grad_()
    padding_mask = torch.arange(5)[None] >= torch.tensor([5, 3, 1, 4])[:, None]
    return module, query, outputs, padding_mask.to(device)


@pytest.mark.parametrize("capability", ["AVX2", "AVX512"])  # with different implementations of tanh
@pytest.mark.parametrize("buffer", [1, 100, 10_000])  # chunks of one sentence, of some, of all
def test_equals_the_formula(case, buffer, capability, monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    for name in ("CPU_BUFFER_ELEMENTS", "GPU_BUFFER_ELEMENTS"):
        monkeypatch.setattr(attention, name, buffer)
    module, query, outputs, padding_mask = case
    differentiable = [query, outputs, *module.parameters()]
    results = []
    for run in (lambda: module(query, module.precompute(outputs, padding_mask)), lambda: plain(*case)):
        context, weights = run()
        loss = (context * torch.arange(6.0).to(context)).sum() + (weights**2).sum()
        results.append([context, weights, *torch.autograd.grad(loss, differentiable)])
    for actual, expected in zip(*results):
        torch.testing.assert_close(actual, expected)


def test_gradients_by_finite_differences(case):
    module, query, outputs, padding_mask = case

    def scores(query, keys, direction):
        return attention._AdditiveScores.apply(query, keys, direction)

    keys = module.key_projection(outputs).detach().requires_grad_()
    direction = torch.randn(6, dtype=torch.double).to(keys.device).requires_grad_()
    assert torch.autograd.gradcheck(scores, (query, keys, direction))


def test_padding_has_weight_0_and_other_weights_sum_to_1(case):
    module, query, outputs, padding_mask = case
    _, weights = module(query, module.precompute(outputs, padding_mask))
    assert (weights.transpose(1, 2)[padding_mask] == 0).all()
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones_like(weights[:, :, 0]))


def test_softmax_is_float32_in_half_precision(device):
    """Weights of many source positions sum to 1, since each is rounded to float16 only after the softmax."""
    torch.manual_seed(1)
    module = NormalizedBahdanauAttention(8)
    torch.nn.init.normal_(module.score_vector)
    module.half().to(device)
    query, outputs = (torch.randn(1, size, 8).half().to(device) for size in (2, 400))
    _, weights = module(query, module.precompute(outputs, torch.zeros(1, 400, dtype=torch.bool, device=device)))
    assert weights.dtype == torch.float16
    # 400 weights of about 1/400, each rounded once (relative 2^-11), sum to 1; a float16 softmax is off by more
    assert weights.float().sum(dim=-1).sub(1).abs().max() < 2e-3
