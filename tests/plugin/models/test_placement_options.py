"""Tests --layer-devices together with other options of fairseq, with simulated GPUs.

Expected devices are written by hand.
"""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from fairseq_gnmt.models import layer_devices
from fairseq_gnmt.models.layer_devices import placement_for, processes_of_this_machine
from fairseq_gnmt.optim.adam import unscaled
from fairseq_gnmt.patches import data_parallel
from gnmt.errors import UserError
from gnmt.network.placement import Placement


class Config(SimpleNamespace):
    """Attributes and `get`, as in omegaconf's configurations."""

    def get(self, name, default=None):
        return getattr(self, name, default)


def config(world_size: int = 1, process: int = 0, optimizer: str = "gnmt_adam", task=None, **common) -> Config:
    precision = dict(fp16=False, fp16_no_flatten_grads=False, memory_efficient_fp16=False, cpu=False)
    return Config(
        common=SimpleNamespace(**{**precision, **common}),
        distributed_training=SimpleNamespace(distributed_world_size=world_size, device_id=process),
        optimizer=SimpleNamespace(_name=optimizer),
        task=task or SimpleNamespace(),
    )


@pytest.fixture
def gpus(monkeypatch):
    """Fixture: simulates four GPUs; the second is the current device of process 1."""
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    current = SimpleNamespace(index=0)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: current.index)
    return current


def numbers(placement: Placement) -> list:
    return [device.index for device in placement.devices]


def test_devices_of_each_process(gpus):
    assert placement_for(config(), None, None) is None
    assert numbers(placement_for(config(), "cuda:0,cuda:1", None)) == [0, 1]
    assert placement_for(config(), "cuda:0,cuda:1", None).time_chunks == 4
    assert numbers(placement_for(config(world_size=2), "cuda:0,cuda:2", 3)) == [0, 2]
    gpus.index = 1
    assert numbers(placement_for(config(world_size=2, process=1), "cuda:0,cuda:2", 3)) == [1, 3]


def test_processes_of_a_machine(gpus, monkeypatch):
    """fairseq starts one process for each GPU; torchrun sets the number in an environment variable."""
    assert [processes_of_this_machine(size) for size in (1, 2, 8)] == [1, 2, 4]
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert processes_of_this_machine(8) == 2


@pytest.mark.parametrize(
    "cfg, devices, words",
    [
        (config(fp16=True), "cuda:0,cuda:1", "needs --fp16-no-flatten-grads"),
        (config(optimizer="nag"), "cuda:0,cuda:1", "--optimizer nag cannot clip gradients on several devices: use gnmt_adam"),
        (config(task=SimpleNamespace(vocabulary_parallel=2)), "cuda:0,cuda:1", "cannot be combined with --vocabulary-parallel"),
        (config(task=SimpleNamespace(asynchronous_replicas=2)), "cuda:0", "cannot be combined with --asynchronous-replicas"),
        (config(), "cpu,cpu", "names cpu, but the training is on the GPU: name GPUs, or give --cpu"),
        (config(cpu=True), "cuda:0,cuda:1", "names cuda:0, but the training is on the CPU: leave --cpu out"),
        (config(), "cuda:1,cuda:2", "begins with cuda:1, but fairseq has put this process on cuda:0: begin with cuda:0"),
        (config(world_size=2), "cuda:0,cuda:1", "to two of the 2 processes .* GPUs that are 2 apart, as cuda:0,cuda:2"),
        (config(), "cuda:0,cuda:4", "has cuda:4, but this machine has 4 GPUs"),
    ],
)  # fmt: skip
def test_unsupported_options_are_refused(gpus, cfg, devices, words):
    with pytest.raises(UserError, match=words):
        placement_for(cfg, devices, 2)


@pytest.mark.parametrize("precision", [{}, {"fp16_no_flatten_grads": True}, {"memory_efficient_fp16": True}])
def test_precisions_that_work(gpus, precision):
    assert numbers(placement_for(config(fp16=bool(precision), **precision), "cuda:0,cuda:0", 2)) == [0, 0]


def test_both_optimizers_are_named():
    from fairseq.optim import OPTIMIZER_REGISTRY

    assert set(layer_devices.OPTIMIZERS) <= OPTIMIZER_REGISTRY.keys()


def test_data_parallelism_gets_one_device_only_for_a_model_on_it(monkeypatch):
    given = []
    monkeypatch.setattr(
        data_parallel, "DistributedDataParallel", lambda module, **options: given.append(options["device_ids"])
    )
    model = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
    data_parallel.wrap(model, device_ids=[0], output_device=0)
    data_parallel.wrap(model.to("meta"), device_ids=[0], output_device=0)
    model[0] = nn.Linear(2, 2)
    data_parallel.wrap(model, device_ids=[0], output_device=0)
    assert given == [None, [0], None]


def test_loss_scale_as_a_number_and_as_a_tensor():
    gradient = torch.tensor([2.0, 4.0])
    assert unscaled(gradient, 4.0).tolist() == unscaled(gradient, torch.tensor(4.0)).tolist() == [0.5, 1.0]
