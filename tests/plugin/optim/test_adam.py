"""Tests gnmt_adam against values worked out by hand and against torch.optim.Adam, in float32 and half precision."""

import copy

import pytest
import torch
from omegaconf import OmegaConf

from fairseq_gnmt.optim.adam import GNMTAdam, GNMTAdamConfig

HALF_PRECISIONS = [torch.float16, torch.bfloat16]


def build(values: list, precision: torch.dtype, device="cpu", **options):
    parameter = torch.nn.Parameter(torch.tensor(values, dtype=precision, device=device))
    return parameter, GNMTAdam(OmegaConf.structured(GNMTAdamConfig(lr=[0.125], **options)), [parameter])


@pytest.mark.parametrize("precision", [torch.float32, *HALF_PRECISIONS])
def test_equals_torch_and_is_rounded_once(precision, device):
    """Three updates in float32, each rounded once to the precision of the parameters."""
    parameter, optimizer = build([1.0, -2.0], precision, device, weight_decay=0.5)
    twin = parameter.detach().clone().float().requires_grad_()
    adam = torch.optim.Adam([twin], lr=0.125, weight_decay=0.5)
    for gradient in ([0.25, -0.75], [0.5, 1.5], [-2.0, 0.125]):
        parameter.grad = torch.tensor(gradient, dtype=precision, device=device)
        twin.grad = parameter.grad.float()
        optimizer.step()
        adam.step()
        with torch.no_grad():
            twin.copy_(twin.to(precision))
        torch.testing.assert_close(parameter.float(), twin, rtol=1e-6, atol=0)
    moments = optimizer.optimizer.state[parameter]
    assert all(value.dtype == torch.float32 for value in moments.values())
    torch.testing.assert_close(moments["exp_avg_sq"], adam.state[twin]["exp_avg_sq"])


@pytest.mark.parametrize("precision", HALF_PRECISIONS)
def test_small_gradients_count_in_half_precision(precision):
    """The first update is lr * g / (|g| + eps). eps, g / scale and the square of g underflow in float16."""
    parameter, optimizer = build([1.0, 1.0], precision)
    assert optimizer.supports_memory_efficient_fp16 and optimizer.supports_step_with_scale
    parameter.grad = torch.tensor([2.0**-10, 0.0], dtype=precision)
    optimizer.step(scale=2.0**16)  # the gradient is 2^-26 = 1.49e-8
    expected = 1 - 0.125 * 2**-26 / (2**-26 + 1e-8)
    assert parameter.tolist() == [pytest.approx(expected, rel=2**-8), 1.0]


@pytest.mark.parametrize("precision", HALF_PRECISIONS)
def test_moments_are_loaded_as_they_were_saved(precision):
    parameter, optimizer = build([1.0, -2.0], precision)
    gradients = torch.randn(6, 2, generator=torch.Generator().manual_seed(1)).to(precision)
    for update, gradient in enumerate(gradients):
        if update == 3:
            other, resumed = build([0.0, 0.0], precision)
            other.data.copy_(parameter)
            resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()), resumed.optimizer_config)
        parameter.grad = gradient
        optimizer.step()
        if update >= 3:
            other.grad = gradient
            resumed.step()
    assert torch.equal(parameter, other)
    for name, value in optimizer.optimizer.state[parameter].items():
        assert torch.equal(value, resumed.optimizer.state[other][name])


@pytest.mark.parametrize("sees_gpu", [False, True])
def test_gradients_are_clipped_on_their_device(sees_gpu, monkeypatch):
    """(3, 4) has norm 5. fairseq's own clipping moves the norm to its GPU, which does not exist here."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: sees_gpu)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    parameters = [torch.nn.Parameter(torch.zeros(1)) for _ in range(3)]
    optimizer = GNMTAdam(OmegaConf.structured(GNMTAdamConfig(lr=[0.1])), parameters)
    parameters[0].grad, parameters[1].grad = torch.tensor([3.0]), torch.tensor([-4.0])
    assert optimizer.clip_grad_norm(0).item() == 5
    assert parameters[1].grad.item() == -4
    assert optimizer.clip_grad_norm(2.5).item() == 5
    assert [parameters[0].grad.item(), parameters[1].grad.item()] == pytest.approx([1.5, -2.0])
    assert optimizer.clip_grad_norm(2.5, aggregate_norm_fn=lambda norm: 2 * norm).item() == pytest.approx(5)
    assert parameters[1].grad.item() == pytest.approx(-1.0)


def test_the_norm_of_half_precision_does_not_overflow():
    parameter, optimizer = build([1.0] * 4, torch.float16)
    parameter.grad = torch.full_like(parameter, 60000.0)
    assert optimizer.clip_grad_norm(0).item() == pytest.approx(120000, rel=1e-3)
