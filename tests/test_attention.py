"""The attention's scores and gradients against the plain formula."""
import pytest
import torch

from gnmt.network import attention
from gnmt.network.attention import NormalizedBahdanauAttention


def plain(module: NormalizedBahdanauAttention, query, encoder_outputs, padding_mask):
    """Bahdanau's formula with the whole (B, T, S, H) tensor."""
    sums = module.query_projection(query)[:, :, None] + module.key_projection(encoder_outputs)[:, None]
    direction = module.score_vector / module.score_vector.norm()
    scores = module.score_scale * (torch.tanh(sums + module.score_bias) * direction).sum(dim=-1)
    weights = scores.masked_fill(padding_mask[:, None], float("-inf")).softmax(dim=-1)
    return weights @ encoder_outputs, weights


@pytest.fixture
def case():
    torch.manual_seed(3)
    module = NormalizedBahdanauAttention(6).double()
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter)
    query = torch.randn(4, 3, 6, dtype=torch.double, requires_grad=True)
    outputs = torch.randn(4, 5, 6, dtype=torch.double, requires_grad=True)
    padding_mask = torch.arange(5)[None] >= torch.tensor([5, 3, 1, 4])[:, None]
    return module, query, outputs, padding_mask


@pytest.mark.parametrize("capability", ["AVX2", "AVX512"])  # which have different ways to a tanh
@pytest.mark.parametrize("buffer", [1, 100, 10_000])  # one sentence at a time, some, all
def test_equals_the_formula(case, buffer, capability, monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(attention, "CPU_BUFFER_ELEMENTS", buffer)
    module, query, outputs, padding_mask = case
    wanted = [query, outputs, *module.parameters()]
    results = []
    for run in (lambda: module(query, module.precompute(outputs, padding_mask)), lambda: plain(*case)):
        context, weights = run()
        loss = (context * torch.arange(6.0).double()).sum() + (weights**2).sum()
        results.append([context, weights, *torch.autograd.grad(loss, wanted)])
    for ours, theirs in zip(*results):
        torch.testing.assert_close(ours, theirs)


def test_gradients_by_finite_differences(case):
    module, query, outputs, padding_mask = case

    def scores(query, keys, direction):
        return attention._AdditiveScores.apply(query, keys, direction)

    keys = module.key_projection(outputs).detach().requires_grad_()
    direction = torch.randn(6, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(scores, (query, keys, direction))


def test_padding_gets_nothing_and_the_rest_sums_to_one(case):
    module, query, outputs, padding_mask = case
    _, weights = module(query, module.precompute(outputs, padding_mask))
    assert (weights.transpose(1, 2)[padding_mask] == 0).all()
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(4, 3, dtype=torch.double))


def test_softmax_is_float32_in_half_precision():
    """Weights over many source positions still sum to 1: each is rounded to float16 once, after the softmax."""
    torch.manual_seed(1)
    module = NormalizedBahdanauAttention(8)
    torch.nn.init.normal_(module.score_vector)
    module.half()
    query, outputs = torch.randn(1, 2, 8).half(), torch.randn(1, 400, 8).half()
    _, weights = module(query, module.precompute(outputs, torch.zeros(1, 400, dtype=torch.bool)))
    assert weights.dtype == torch.float16
    # 400 weights of about 1/400, each rounded once (relative 2^-11), sum to 1; a float16 softmax is off by more
    assert weights.float().sum(dim=-1).sub(1).abs().max() < 2e-3
