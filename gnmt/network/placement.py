"""Layers of one network on several devices of one machine (Wu et al. 2016, section 3).

Each device holds and computes its layers. A sequence is divided into chunks: a layer starts when the layer below has
finished the first chunk (gnmt.network.wavefront). CUDA runs asynchronously, so one Python thread is expected to suffice
for all devices; this is not yet measured on GPUs. Autograd has one thread per device and processes the same chunks in
reverse order.
"""

from typing import NamedTuple, Optional, Tuple

import torch
from torch import nn

from gnmt.errors import UserError
from gnmt.network.decoder import Decoder
from gnmt.network.encoder import Encoder

DEFAULT_CHUNKS = 4


class Placement(NamedTuple):
    """Devices of the layers of a network."""

    devices: Tuple[torch.device, ...]  # of the layers, bottom first; numbers of layers per device differ by at most one
    time_chunks: int = DEFAULT_CHUNKS

    def device_of(self, layer: int, layers: int) -> torch.device:
        """Returns the device of a layer.

        Args:
            layer: index in its stack, from 0.
            layers: number of layers of the stack.
        """
        return self.devices[layer * len(self.devices) // layers]

    @property
    def first(self) -> torch.device:
        """Device of inputs, embeddings, attention and outputs; features are on the last device."""
        return self.devices[0]


class PlaceableNetwork(nn.Module):
    """Base class of networks with `encoder` and `decoder` that can be placed on several devices.

    A placed network ignores `to`, which fairseq and torch's data parallelism call to move a model to one device.
    """

    encoder: Encoder
    decoder: Decoder
    placement: Optional[Placement] = None

    def place(self, placement: Placement) -> None:
        """Moves the layers to their devices permanently.

        Raises:
            UserError: if there are more devices than layers.
        """
        layers = max(1 + len(self.encoder.upper_layers), 1 + len(self.decoder.stack.upper_lstms))
        if len(placement.devices) > layers:
            raise UserError(
                f"--layer-devices has {len(placement.devices)} devices, but the network has {layers} layers in a stack: "
                "give at most one device for each."
            )
        self.placement = placement
        move_layers(self.encoder, self.decoder, placement)

    def to(self, *args, **kwargs):
        """Moves the network as torch's `to` does, unless it is placed on several devices."""
        if self.placement is None:
            return super().to(*args, **kwargs)
        _, dtype, *_ = torch._C._nn._parse_to(*args, **kwargs)
        return self if dtype is None else super().to(dtype=dtype)


def move_layers(encoder: Encoder, decoder: Decoder, placement: Placement) -> None:
    """Moves the layers of both stacks to their devices, and sets the number of time chunks.

    Layers are divided into contiguous blocks. The backward direction of the bidirectional layer is on the second
    device, which would otherwise be idle while the first device computes both directions. The output projection is on
    the last device, or with the embeddings if they share weights. Everything else is on the first device.

    Args:
        encoder: encoder to move.
        decoder: decoder to move.
        placement: devices and number of time chunks.
    """
    encoder.to(placement.first)
    decoder.to(placement.first)
    encoder.time_chunks = decoder.stack.time_chunks = placement.time_chunks
    encoder.dropout.across_devices = decoder.stack.dropout.across_devices = True
    encoder.first_layer.backward_lstm.to(placement.devices[:2][-1])
    for stack in (encoder.upper_layers, decoder.stack.upper_lstms):
        for index, lstm in enumerate(stack, start=1):
            lstm.to(placement.device_of(index, 1 + len(stack)))
    if decoder.output_projection.weight is not decoder.embed_tokens.weight:
        decoder.output_projection.to(placement.devices[-1])


def parse_devices(text: str, process: int = 0) -> Tuple[torch.device, ...]:
    """Returns the devices of one process of this machine.

    Args:
        text: devices of process 0, such as "cuda:0,cuda:1"; process i adds i to every number.
        process: index of the process on this machine.

    Raises:
        UserError: for devices that do not exist, are of several kinds, or are repeated.
    """
    devices = tuple(_device(name.strip(), process) for name in text.split(","))
    if len({device.type for device in devices}) > 1:
        raise UserError(f"--layer-devices {text} mixes kinds of devices: give GPUs only, or the CPU only.")
    return devices


def _device(name: str, process: int) -> torch.device:
    kind, _, number = name.partition(":")
    if name != "cpu" and not (kind == "cuda" and number.isdecimal()):
        raise UserError(
            f"--layer-devices has {name!r}, but must list GPUs by number, as cuda:0,cuda:1, or cpu,cpu for a trial."
        )
    if name == "cpu":
        return torch.device("cpu")
    index, available = int(number) + process, torch.cuda.device_count()
    if index >= available:
        whose = f" (process {process} of this machine adds {process})" if process else ""
        raise UserError(
            f"--layer-devices has {name}{whose}, but this machine has {available} GPUs, numbered from 0: "
            "name devices that exist."
        )
    return torch.device("cuda", index)
