"""What 16-bit integers make of numbers in a known range (Wu et al. 2016, section 6)."""
from torch import Tensor

from fairseq_gnmt.models.clipping import ActivationClip

ACCUMULATOR_LEVELS = 32767


class Accumulators(ActivationClip):
    """Cell states and layer outputs as int16 over [-d, d]: each is n d / 32767 with a whole number n.

    The integers are emulated in float32, which holds every n exactly.
    """

    def __init__(self, limit: float):
        super().__init__()
        self.limit = limit

    def forward(self, inputs: Tensor) -> Tensor:
        levels = (inputs * (ACCUMULATOR_LEVELS / self.limit)).round_().clamp_(-ACCUMULATOR_LEVELS, ACCUMULATOR_LEVELS)
        return levels.mul_(self.limit / ACCUMULATOR_LEVELS)
