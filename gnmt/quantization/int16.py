"""What 16-bit integers make of numbers in a known range (Wu et al. 2016, section 6)."""
import torch
from torch import Tensor

from gnmt.network.clipping import ActivationClip

INT16_QMAX = 32767


class Int16FakeQuantizer(ActivationClip):
    """Cell states and layer outputs as int16 over [-d, d]: each is n d / 32767 with a whole number n.

    The integers are emulated in float32, which holds every n exactly.
    """

    def __init__(self, limit: float):
        super().__init__()
        self.range = torch.tensor([limit])

    def forward(self, inputs: Tensor) -> Tensor:
        limit = self.limit
        integers = (inputs * (INT16_QMAX / limit)).round_().clamp_(-INT16_QMAX, INT16_QMAX)
        return integers.mul_(limit / INT16_QMAX)
