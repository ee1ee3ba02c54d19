"""Tests the fused linear cross-entropy, against values worked out by hand and against the formula on all logits."""

import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from gnmt.losses import fused_linear_cross_entropy
from gnmt.losses.fused_linear_cross_entropy import fused_label_smoothed_loss, fused_weighted_nll
from reference.plain_loss import plain_label_smoothed_loss


def test_by_hand():
    """Two classes with logits 0 and log 3: p = 1/4, 3/4; target 1 and e = 0.2."""
    logits = torch.tensor([[0.0, math.log(3)]])
    expected = 0.8 * math.log(4 / 3) + 0.2 * (math.log(4) + math.log(4 / 3)) / 2
    loss, nll = plain_label_smoothed_loss(logits, torch.tensor([1]), 0.2)
    assert loss.item() == pytest.approx(expected)
    assert nll.item() == pytest.approx(math.log(4 / 3))


@pytest.fixture
def case(device):
    torch.manual_seed(1)
    shapes = ((7, 5), (11, 5), (11,))
    tensors = [torch.randn(*shape, dtype=torch.double).to(device).requires_grad_() for shape in shapes]
    return tensors, torch.randint(0, 11, (7,)).to(device)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_loss_and_gradients_equal_the_formula(case, smoothing, chunk, monkeypatch):
    monkeypatch.setattr(fused_linear_cross_entropy, "CHUNK_TOKENS", chunk)
    (features, weight, bias), target = case
    fused = fused_label_smoothed_loss(features, weight, bias, target, smoothing)
    plain = plain_label_smoothed_loss(features @ weight.t() + bias, target, smoothing)
    torch.testing.assert_close(fused, plain)
    gradients = [torch.autograd.grad(3 * loss, (features, weight, bias)) for loss, _ in (fused, plain)]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("chunk", [3, 100])
def test_clipped_logits(case, chunk, monkeypatch):
    """The gradient of a logit at the clipping limit is zero."""
    monkeypatch.setattr(fused_linear_cross_entropy, "CHUNK_TOKENS", chunk)
    (features, weight, bias), target = case
    clipped = (features @ weight.t() + bias).clamp(-1.5, 1.5)
    assert 0.1 < (clipped.abs() == 1.5).double().mean() < 0.9
    fused = fused_label_smoothed_loss(features, weight, bias, target, 0.1, logit_limit=1.5)
    plain = plain_label_smoothed_loss(clipped, target, 0.1)
    torch.testing.assert_close(fused, plain)
    gradients = [torch.autograd.grad(3 * loss, (features, weight, bias)) for loss, _ in (fused, plain)]
    torch.testing.assert_close(*gradients)


def test_validation_computes_no_gradients(case, monkeypatch):
    """The parameters require gradients although torch.no_grad is active."""
    (features, weight, bias), target = case
    monkeypatch.setattr(fused_linear_cross_entropy, "_plus_product", None)  # computes the gradient of the weights
    with pytest.raises(TypeError):
        fused_label_smoothed_loss(features, weight, bias, target, 0.1)
    with torch.no_grad():
        loss, nll = fused_label_smoothed_loss(features, weight, bias, target, 0.1)
    assert loss > 0 and not loss.requires_grad and not nll.requires_grad


def test_half_precision_is_left_to_autograd(case):
    """With float16 weights the softmax is in float32, and the gradient is multiplied by the loss scale before rounding."""
    (features, weight, bias), target = case
    half = [tensor.detach().half().requires_grad_() for tensor in (features, weight, bias)]
    loss, _ = fused_label_smoothed_loss(*half, target, 0.1)
    assert loss.dtype == torch.float32
    (loss * 1024).backward()
    exact = [tensor.detach().double().requires_grad_() for tensor in half]
    reference, _ = fused_label_smoothed_loss(*exact, target, 0.1)
    (reference * 1024).backward()
    assert loss.item() == pytest.approx(reference.item(), rel=2e-3)
    torch.testing.assert_close(half[1].grad.double(), exact[1].grad, rtol=1e-2, atol=1024 * 2e-3)


HALF_PRECISIONS = {torch.float16: 2**-11, torch.bfloat16: 2**-8}  # relative rounding errors


@pytest.mark.parametrize("limit", [None, 2.0])
@pytest.mark.parametrize("precision", HALF_PRECISIONS)
def test_half_precision_in_many_chunks_is_close_to_float64(precision, limit, device, monkeypatch):
    monkeypatch.setattr(fused_linear_cross_entropy, "CHUNK_TOKENS", 16)
    torch.manual_seed(1)
    half = [torch.randn(*shape).to(device, precision).requires_grad_() for shape in ((200, 8), (30, 8), (30,))]
    exact = [tensor.detach().double().requires_grad_() for tensor in half]
    target = torch.randint(0, 30, (200,)).to(device)
    losses = [fused_label_smoothed_loss(*tensors, target, 0.1, limit)[0] for tensors in (half, exact)]
    assert losses[0].dtype == torch.float32
    error = HALF_PRECISIONS[precision]
    assert losses[0].item() == pytest.approx(losses[1].item(), rel=error)  # errors of logits cancel in the sum
    actual, expected = (torch.autograd.grad(16 * loss, tensors) for loss, tensors in zip(losses, (half, exact)))
    allowed = error * (3 if limit is None else 50)  # rounding moves some logits past the clipping limit
    for gradient, reference in zip(actual, expected):
        assert gradient.dtype == precision
        assert (gradient.double() - reference).norm() < allowed * reference.norm()


def test_the_loss_scale_enters_before_the_gradient_is_rounded(device):
    """Tokens 1 and 2 have probability 2^-30: their gradients underflow in float16 unless multiplied by 2^15 first."""
    features, weight = torch.zeros(1, 1).half().to(device), torch.zeros(3, 1).half().to(device)
    bias = torch.tensor([0.0, *[-30 * math.log(2)] * 2]).half().to(device)
    exact = torch.softmax(bias.double(), dim=0)[1].item()
    gradients = []
    for scale in (1, 2**15):
        weighed = bias.clone().requires_grad_()
        loss, _ = fused_label_smoothed_loss(features, weight, weighed, torch.tensor([0], device=device), 0.0)
        (loss * scale).backward()
        gradients.append(weighed.grad[1:].tolist())
    assert gradients[0] == [0, 0]
    assert gradients[1] == pytest.approx([exact * 2**15] * 2, rel=2**-9)


class LargestTensor(TorchDispatchMode):
    """Dispatch mode that records the number of elements of the largest tensor returned by an operator."""

    elements = 0

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        result = operator(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.elements = max(self.elements, result.numel())
        return result


@pytest.mark.parametrize("limit", [None, 2.0])
@pytest.mark.parametrize("precision", [torch.float32, *HALF_PRECISIONS])
def test_only_the_logits_of_a_chunk_are_held(precision, limit, monkeypatch):
    monkeypatch.setattr(fused_linear_cross_entropy, "CHUNK_TOKENS", 10)
    tensors = [torch.randn(*shape, dtype=precision, requires_grad=True) for shape in ((90, 2), (40, 2), (40,))]
    with LargestTensor() as largest:
        loss, _ = fused_label_smoothed_loss(*tensors, torch.randint(0, 40, (90,)), 0.1, limit)
        nll = fused_weighted_nll(*tensors, torch.randint(0, 40, (90,)), torch.randn(90))
        (loss + nll).backward()
    assert largest.elements == (20 if precision == torch.bfloat16 else 10) * 40  # two or four bytes for each logit


def test_autocast_computes_in_its_precision(case):
    """Weights and gradients are float32; the values are rounded to autocast's dtype."""
    (features, weight, bias), target = case
    single = [tensor.detach().float().requires_grad_() for tensor in (features, weight, bias)]
    with torch.autocast(features.device.type, torch.bfloat16):
        loss, _ = fused_label_smoothed_loss(*single, target, 0.1)
    gradients = torch.autograd.grad(loss, single)
    reference, _ = fused_label_smoothed_loss(features, weight, bias, target, 0.1)
    for gradient, expected in zip(gradients, torch.autograd.grad(reference, case[0])):
        assert gradient.dtype == torch.float32
        assert 2**-14 * expected.norm() < (gradient - expected).norm() < 2**-6 * expected.norm()


@pytest.mark.parametrize("limit", [None, 2.0])
@pytest.mark.parametrize("precision", [torch.float32, *HALF_PRECISIONS])
def test_no_tokens(precision, limit):
    """The gradient is zero, as for a process without a sentence."""
    shapes = ((0, 5), (11, 5), (11,))
    features, weight, bias = (torch.ones(*shape, dtype=precision, requires_grad=True) for shape in shapes)
    loss, nll = fused_label_smoothed_loss(features, weight, bias, torch.zeros(0).long(), 0.1, limit)
    assert loss == 0 and nll == 0 and not nll.requires_grad
    loss.backward()
    assert features.grad.shape == (0, 5) and not weight.grad.any() and not bias.grad.any()


def plain_weighted_nll(features, weight, bias, target, token_weights):
    """Slow twin: sums the weighted nll over tokens, one at a time."""
    log_probs = (features @ weight.t() + bias).log_softmax(dim=1)
    return -sum(w * row[y] for w, row, y in zip(token_weights, log_probs, target))


@pytest.mark.parametrize("chunk", [3, 100])
def test_weighted_tokens(case, chunk, monkeypatch):
    """Weights of both signs, and a token with probability 0."""
    monkeypatch.setattr(fused_linear_cross_entropy, "CHUNK_TOKENS", chunk)
    (features, weight, bias), target = case
    bias = bias.index_fill(0, (target.max() + 1) % 11, -1e4)
    token_weights = torch.tensor([0.5, -2.0, 0.0, 1.0, -0.1, 3.0, 0.25]).to(bias)
    fused, plain = (
        loss(features, weight, bias, target, token_weights) for loss in (fused_weighted_nll, plain_weighted_nll)
    )
    torch.testing.assert_close(fused, plain)
    gradients = [torch.autograd.grad(3 * loss, case[0], retain_graph=True) for loss in (fused, plain)]
    torch.testing.assert_close(*gradients)

    half = [tensor.detach().half().requires_grad_() for tensor in (features, weight, bias)]
    loss = fused_weighted_nll(*half, target, token_weights.float())
    (loss * 1024).backward()
    assert loss.item() == pytest.approx(plain.item(), rel=1e-2)
    torch.testing.assert_close(half[0].grad.double(), gradients[1][0] * 1024 / 3, rtol=2e-2, atol=1024 * 2e-2)


@pytest.mark.parametrize("limit", [None, 2.0])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_dummy_batch_has_no_gradient(case, smoothing, limit):
    """fairseq multiplies the loss of a dummy batch by 0, in place."""
    (features, weight, bias), target = case
    loss, _ = fused_label_smoothed_loss(features, weight, bias, target, smoothing, limit)
    loss *= 0
    loss.backward()
    assert loss == 0 and not any(tensor.grad.any() for tensor in (features, weight, bias))
