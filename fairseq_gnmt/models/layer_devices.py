"""`--layer-devices`: devices of the layers of one replica, and checks of the training's options."""

import os
from itertools import pairwise
from typing import Any, Optional

import torch

from gnmt.errors import UserError
from gnmt.network.placement import DEFAULT_CHUNKS, Placement, parse_devices

OPTIMIZERS = ("gnmt_adam", "gnmt_adam_then_sgd")
# Options of the task, with the value that disables them.
OTHER_WAYS = {"vocabulary_parallel": 1, "asynchronous_replicas": 0}


def placement_for(cfg: Any, layer_devices: Optional[str], time_chunks: Optional[int]) -> Optional[Placement]:
    """Returns the devices of this process's replica; None without --layer-devices.

    Args:
        cfg: fairseq's whole configuration.
        layer_devices: devices of the first replica of a machine, separated by commas.
        time_chunks: number of chunks of a sequence.

    Raises:
        UserError: for devices that do not exist, and for options that cannot be combined.
    """
    if layer_devices is None:
        if time_chunks is not None:
            raise UserError("--time-chunks lets devices overlap: give --layer-devices, too, or leave it out.")
        return None
    check_other_options(cfg)
    process = cfg.distributed_training.device_id if cfg.distributed_training.distributed_world_size > 1 else 0
    placement = Placement(parse_devices(layer_devices, process), time_chunks or DEFAULT_CHUNKS)
    check_devices(cfg, placement)
    return placement


def check_other_options(cfg: Any) -> None:
    """Checks the options of a training run with --layer-devices.

    Raises:
        UserError: for options that need all parameters on one device.
    """
    common = cfg.common
    if common.fp16 and not (common.fp16_no_flatten_grads or common.memory_efficient_fp16):
        raise UserError(
            "--layer-devices with --fp16 needs --fp16-no-flatten-grads: fairseq would copy the gradients of all devices "
            "to one, without waiting for the others. Or give --bf16."
        )
    optimizer = cfg.optimizer._name if cfg.optimizer is not None else None
    if optimizer not in OPTIMIZERS:
        raise UserError(
            f"--layer-devices with --optimizer {optimizer} cannot clip gradients on several devices: use {OPTIMIZERS[0]}."
        )
    for option, neutral in OTHER_WAYS.items():
        if getattr(cfg.task, option, neutral) > neutral:
            raise UserError(
                f"--layer-devices cannot be combined with --{option.replace('_', '-')}: leave one of them out."
            )


def check_devices(cfg: Any, placement: Placement) -> None:
    """Checks the devices of a replica against the device of the training.

    Args:
        cfg: fairseq's whole configuration.
        placement: devices of the layers.

    Raises:
        UserError: for GPUs in a training run on the CPU, the reverse, and GPUs of two processes.
    """
    on_gpus = torch.cuda.is_available() and not cfg.common.cpu
    kind = placement.first.type
    if (kind == "cuda") != on_gpus:
        remedy = "leave --cpu out" if kind == "cuda" else "name GPUs, or give --cpu"
        raise UserError(
            f"--layer-devices names {placement.first}, but the training is on the {'GPU' if on_gpus else 'CPU'}: {remedy}."
        )
    if not on_gpus:
        return
    if placement.first.index != torch.cuda.current_device():
        raise UserError(
            f"--layer-devices begins with {placement.first}, but fairseq has put this process on "
            f"cuda:{torch.cuda.current_device()}: begin with cuda:0 (process i of a machine adds i to every number)."
        )
    processes = processes_of_this_machine(cfg.distributed_training.distributed_world_size)
    numbers = sorted({device.index for device in placement.devices})
    if any(later - earlier < processes for earlier, later in pairwise(numbers)):
        raise UserError(
            f"--layer-devices would give one GPU to two of the {processes} processes of this machine, which add 0 to "
            f"{processes - 1} to the numbers: name GPUs that are {processes} apart, as cuda:0,cuda:{processes}."
        )


def processes_of_this_machine(world_size: int) -> int:
    """Returns the number of the training's processes on this machine, from torchrun, or one per GPU."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", min(world_size, torch.cuda.device_count())))
