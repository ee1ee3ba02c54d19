"""Tests that training resumes only from an optimizer state that fits the network.

Expected messages are written by hand.
"""

import copy

import pytest
import torch

from fairseq_gnmt.patches.resuming import check_moments


@pytest.fixture
def optimizer() -> torch.optim.Adam:
    weights = [torch.nn.Parameter(torch.ones(2, 3)), torch.nn.Parameter(torch.ones(4))]
    made = torch.optim.Adam(weights, fused=True)
    sum(weight.sum() for weight in weights).backward()
    made.step()
    return made


def test_its_own_state_fits(optimizer):
    check_moments(optimizer, optimizer.state_dict())
    optimizer.load_state_dict(optimizer.state_dict())


@pytest.mark.parametrize(
    "change,words",
    [
        (lambda state: state["state"][0].update(exp_avg=torch.ones(3)), r"wrong exp_avg for the weight 0 of \(2, 3\)"),
        (
            lambda state: state["state"][1].update(exp_avg_sq=torch.ones(2, 3)),
            r"wrong exp_avg_sq for the weight 1 of \(4,\)",
        ),
        (lambda state: state["state"][0].update(exp_avg="text"), "wrong exp_avg"),
        (lambda state: state["state"][0].update(exp_avg=torch.tensor(1.0)), "wrong exp_avg"),
        (lambda state: state["state"][0].update(step=[1]), "wrong step"),
        (lambda state: state["param_groups"][0].update(lr="fast"), "has 'fast' as its lr"),
        (lambda state: state["param_groups"][0].update(betas=(0.9, "x")), "as its betas"),
    ],
)
def test_other_moments_do_not(optimizer, change, words):
    state = copy.deepcopy(optimizer.state_dict())
    change(state)
    with pytest.raises(ValueError, match=words):
        check_moments(optimizer, state)
