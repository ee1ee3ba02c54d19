"""Tests saved states of fairseq's half-precision optimizers, with master weights and loss-scale counters.

Expected states come from uninterrupted training.
"""

import copy
from types import SimpleNamespace

import pytest
import torch
from fairseq.optim.fp16_optimizer import FP16Optimizer, MemoryEfficientFP16Optimizer
from omegaconf import OmegaConf

import fairseq_gnmt  # noqa: F401  applies the patches
from fairseq_gnmt.optim.adam import GNMTAdam, GNMTAdamConfig

COMMON = SimpleNamespace(
    fp16_scale_window=2, fp16_init_scale=8.0, fp16_scale_tolerance=0.0, threshold_loss_scale=None, min_loss_scale=1e-4
)
WRAPPERS = [FP16Optimizer, MemoryEfficientFP16Optimizer]


def build(wrapper: type, values: list):
    """Returns a float16 parameter and its optimizer, built as by fairseq's trainer."""
    config = OmegaConf.structured(GNMTAdamConfig(lr=[1e-4]))
    parameter = torch.nn.Parameter(torch.tensor(values).half())
    options = SimpleNamespace(optimizer=config, common=COMMON)
    if wrapper is MemoryEfficientFP16Optimizer:
        return parameter, wrapper(options, [parameter], GNMTAdam(config, [parameter]))
    master = FP16Optimizer.build_fp32_params(None, [parameter], flatten=False)
    return parameter, wrapper(options, [parameter], GNMTAdam(config, master), master)


def update(parameter, optimizer, gradient: list) -> None:
    optimizer.zero_grad()
    optimizer.backward((parameter * torch.tensor(gradient).half()).sum())
    optimizer.clip_grad_norm(0)
    optimizer.step()


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("saved_after", [1, 2, 3])
def test_resumed_training_is_the_same(wrapper, saved_after):
    """Updates of 1e-4 are below half the spacing of float16 at 1, so only master weights change."""
    parameter, optimizer = build(wrapper, [1.0, -1.0])
    for number in range(7):
        if number == saved_after:
            other, resumed = build(wrapper, parameter.tolist())
            resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()), resumed.optimizer_config)
        update(parameter, optimizer, [0.5, 0.25])
        if number >= saved_after:
            update(other, resumed, [0.5, 0.25])
    assert torch.equal(parameter, other)
    assert resumed.scaler.loss_scale == optimizer.scaler.loss_scale > 8
    assert vars(resumed.scaler) == vars(optimizer.scaler)
    if wrapper is FP16Optimizer:
        assert parameter[0] != 1
        assert torch.equal(resumed.fp32_params[0], optimizer.fp32_params[0])


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_states_of_earlier_versions_still_load(wrapper):
    """They contain the loss scale, but no master weights and counters."""
    parameter, optimizer = build(wrapper, [1.0, -1.0])
    update(parameter, optimizer, [0.5, 0.25])
    state = copy.deepcopy(optimizer.state_dict())
    old = {name: state[name] for name in ("state", "param_groups", "loss_scale")}
    _, resumed = build(wrapper, [2.0, 2.0])
    resumed.load_state_dict(old, resumed.optimizer_config)
    if wrapper is FP16Optimizer:
        assert resumed.fp32_params[0].tolist() == [2.0, 2.0]
    assert resumed.scaler.loss_scale == optimizer.scaler.loss_scale and resumed.scaler._iter == 0
