"""Tests the paper's optimizer and learning rates, against values worked out by hand and through fairseq's interface."""

import copy
from types import SimpleNamespace

import pytest
import torch
from omegaconf import OmegaConf

from fairseq_gnmt.optim.adam import GNMTAdam, GNMTAdamConfig
from fairseq_gnmt.optim.adam_then_sgd import AdamThenSGDConfig, AdamThenSGDRates, GNMTAdamThenSGD, halvings
from gnmt.errors import UserError


def build(adam_updates: int = 2, weight_decay: float = 0.0, precision: torch.dtype = torch.float32, device="cpu"):
    parameter = torch.nn.Parameter(torch.tensor([1.0, -2.0], dtype=precision, device=device))
    config = OmegaConf.structured(AdamThenSGDConfig(lr=[0.1], adam_updates=adam_updates, weight_decay=weight_decay))
    return parameter, GNMTAdamThenSGD(config, [parameter])


def rates_of(optimizer, **options):
    given = dict(lr=[0.1], sgd_lr=0.5, halving_from=5, halving_interval=2, halving_steps=2)
    return AdamThenSGDRates(SimpleNamespace(**given | options), optimizer)


def test_halvings_by_hand():
    assert [halvings(n, 5, 2, 3) for n in range(3, 13)] == [0, 0, 1, 1, 2, 2, 3, 3, 3, 3]


def test_rates_by_hand():
    _, optimizer = build()
    schedule = rates_of(optimizer)
    rates = [schedule.step_update(n) for n in range(9)]  # rates of updates 1, 2, ...
    assert rates == [0.1, 0.1, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125, 0.125]


def test_first_adam_then_sgd():
    parameter, optimizer = build(adam_updates=2)
    twin = torch.nn.Parameter(parameter.detach().clone())
    adam = torch.optim.Adam([twin], lr=0.1)
    for _ in range(2):
        parameter.grad = twin.grad = torch.tensor([0.3, -0.7])
        optimizer.step()
        adam.step()
    torch.testing.assert_close(parameter, twin)
    before = parameter.detach().clone()
    optimizer.set_lr(0.5)
    optimizer.step()
    torch.testing.assert_close(parameter.detach(), before - 0.5 * torch.tensor([0.3, -0.7]))
    assert not optimizer.state_dict()["state"]  # SGD keeps no moments


def test_weight_decay_of_sgd():
    parameter, optimizer = build(adam_updates=0, weight_decay=0.5)
    parameter.grad = torch.tensor([1.0, 1.0])
    optimizer.set_lr(0.1)
    optimizer.step()
    torch.testing.assert_close(parameter.detach(), torch.tensor([1 - 0.1 * 1.5, -2 - 0.1 * 0.0]))


@pytest.mark.parametrize("precision", [torch.float16, torch.bfloat16])
def test_sgd_in_half_precision_divides_by_the_scale_in_float32(precision):
    """2^-10 / 2^20 = 2^-30 underflows in float16; with a rate of 2^28 it gives steps of 2^-2."""
    parameter, optimizer = build(adam_updates=0, precision=precision)
    parameter.grad = torch.tensor([2.0**-10, -(2.0**-10)], dtype=precision)
    optimizer.set_lr(2.0**28)
    optimizer.step(scale=2.0**20)
    assert parameter.tolist() == [0.75, -1.75]


@pytest.mark.parametrize("precision", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("saved_after", [1, 2, 3])
def test_resumed_optimizer_is_the_same(saved_after, precision, device):
    """Saved during Adam, at the change to SGD, and during SGD."""
    parameter, optimizer = build(precision=precision, device=device)
    gradients = torch.randn(5, 2, generator=torch.Generator().manual_seed(1)).to(device, precision)
    for update, gradient in enumerate(gradients):
        if update == saved_after:
            other, resumed = build(precision=precision, device=device)
            other.data.copy_(parameter)
            resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()), resumed.optimizer_config)
        parameter.grad = gradient
        optimizer.step()
        if update >= saved_after:
            other.grad = gradient
            resumed.step()
    assert torch.equal(parameter, other)


@pytest.mark.parametrize(
    "options,words",
    [
        ({"lr": [0.1, 0.2]}, "takes one --lr"),
        ({"sgd_lr": -1.0}, "--sgd-lr is -1.0"),
        ({"halving_interval": 0}, "--halving-interval is 0, but must be at least 1"),
    ],
)
def test_rates_out_of_range(options, words):
    with pytest.raises(UserError, match=words):
        rates_of(build()[1], **options)


def test_optimizers_that_do_not_fit():
    with pytest.raises(UserError, match="--adam-updates is -1"):
        build(adam_updates=-1)
    adam = GNMTAdam(OmegaConf.structured(GNMTAdamConfig(lr=[0.1])), [torch.nn.Parameter(torch.zeros(1))])
    with pytest.raises(UserError, match="requires --optimizer gnmt_adam_then_sgd"):
        rates_of(adam)
