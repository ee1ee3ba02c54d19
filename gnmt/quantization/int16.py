"""16-bit integers for activations in a known range (Wu et al. 2016, section 6)."""

from torch import Tensor, nn

from gnmt.network.clipping import LOGIT_LIMIT

INT16_QMAX = 32767


class Int16FakeQuantizer(nn.Module):
    """Rounds cell states and layer outputs to int16 over [-d, d]: to n d / 32767 with an integer n.

    The integers are emulated in float32, which represents every n exactly. Replaces `ActivationClip` in inference.

    Args:
        limit: d.
    """

    def __init__(self, limit: float):
        """Sets the limit d."""
        super().__init__()
        self.limit = limit

    def forward(self, inputs: Tensor) -> Tensor:
        """Returns the inputs rounded to int16 levels."""
        integers = (inputs * (INT16_QMAX / self.limit)).round_().clamp_(-INT16_QMAX, INT16_QMAX)
        return integers.mul_(self.limit / INT16_QMAX)

    def clip_logits(self, logits: Tensor) -> Tensor:
        """Returns the logits clipped to their limit."""
        return logits.clamp(-LOGIT_LIMIT, LOGIT_LIMIT)
