"""Tests the learning rate schedule against values of NVIDIA's code, values worked out by hand, and through fairseq's
interface.
"""

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from conftest import GOLDEN
from fairseq_gnmt.optim.adam import GNMTAdam, GNMTAdamConfig, parse_betas
from fairseq_gnmt.optim.warmup_step_decay import WarmupStepDecay, warmup_step_decay
from gnmt.errors import UserError

SCHEDULES = np.load(GOLDEN / "lr_schedule.npz")
BASE_RATE = 2e-3


def build(max_update, warmup_steps=200.0, remain_steps=0.666, decay_interval=None, decay_steps=4, decay_factor=0.5):
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = GNMTAdam(OmegaConf.structured(GNMTAdamConfig(lr=[BASE_RATE])), [parameter])
    options = locals() | {"lr": [BASE_RATE]}
    return WarmupStepDecay(SimpleNamespace(**options), optimizer), optimizer


@pytest.mark.parametrize("name", SCHEDULES.files)
def test_values_of_nvidia(name):
    total = len(SCHEDULES[name])
    warmup, remain, interval, steps, factor = (None if part == "None" else float(part) for part in name.split("_")[1:])
    schedule, optimizer = build(total, warmup, remain, interval, int(steps), factor)
    rates = []
    for update in range(1, total):
        schedule.step_update(update - 1)  # fairseq: called before update `update`
        rates.append(optimizer.get_lr())
    np.testing.assert_allclose(rates, SCHEDULES[name][1:] * (1 if SCHEDULES[name].max() < 0.1 else BASE_RATE))


def test_by_hand():
    # W = 2, R = 6, D = 2: 0.01^(1/2), 1 | 1, 1, 1 | halved at 6, 8, 10, then constant
    rates = [warmup_step_decay(update, 2, 6, 2, 3, 0.5) for update in range(1, 14)]
    assert rates == pytest.approx([0.1, 1, 1, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125, 0.125, 0.125])


def test_one_is_the_whole_only_where_the_rate_remains():
    schedule, _ = build(1000, warmup_steps=1, remain_steps=1, decay_interval=1)
    assert (schedule.warmup, schedule.remain, schedule.interval) == (1, 1000, 1)


def test_resumed_schedule_is_the_same():
    schedule, optimizer = build(1000)
    schedule.step_update(700)
    rate = optimizer.get_lr()
    again, other = build(1000)
    again.load_state_dict(schedule.state_dict())
    again.step_update(700)
    assert other.get_lr() == rate


@pytest.mark.parametrize(
    "options", [{}, {"remain_steps": 600.0}, {"warmup_steps": 0.1, "remain_steps": 600, "decay_interval": 5}]
)
def test_fractions_without_a_total_are_refused(options):
    with pytest.raises(UserError, match="give --max-update"):
        build(0, **options)


def test_counts_need_no_total():
    schedule, optimizer = build(0, warmup_steps=2, remain_steps=6, decay_interval=2, decay_steps=3)
    schedule.step_update(7)  # before update 8
    assert optimizer.get_lr() == pytest.approx(BASE_RATE / 4)


@pytest.mark.parametrize(
    "options,words",
    [
        ({"warmup_steps": -1}, "--warmup-steps"),
        ({"decay_steps": 0}, "--decay-steps"),
        ({"decay_factor": 0.0}, "--decay-factor"),
    ],
)
def test_options_out_of_range(options, words):
    with pytest.raises(UserError, match=words):
        build(1000, **options)


def test_betas():
    assert parse_betas("(0.9, 0.98)") == (0.9, 0.98)
    assert parse_betas([0.9, 0.999]) == (0.9, 0.999)
    for wrong in ("0.9", "(0.9, 1.0)", "a,b", "(1,2,3)"):
        with pytest.raises(UserError, match="--adam-betas"):
            parse_betas(wrong)


def test_adam_by_hand():
    """The first update of Adam is the learning rate times the sign of the gradient."""
    parameter = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    optimizer = GNMTAdam(OmegaConf.structured(GNMTAdamConfig(lr=[0.5])), [parameter])
    parameter.grad = torch.tensor([3.0, -0.1])
    optimizer.step()
    torch.testing.assert_close(parameter.data, torch.tensor([0.5, 2.5]))
    # A resumed optimizer continues unchanged.
    other_parameter = torch.nn.Parameter(parameter.detach().clone())
    other = GNMTAdam(OmegaConf.structured(GNMTAdamConfig(lr=[0.5])), [other_parameter])
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for current, p in ((optimizer, parameter), (other, other_parameter)):
        p.grad = torch.tensor([-1.0, 2.0])
        current.step()
    assert torch.equal(parameter, other_parameter)
