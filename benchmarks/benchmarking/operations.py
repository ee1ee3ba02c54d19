"""Floating-point operations of GNMT, in any implementation: 2 for each multiplication with addition.

Additive attention costs about 6 S H for a target position. Padding is not counted, so the work on padding lowers the
computed efficiency.

Shapes: S source positions, H hidden size, V vocabulary size.
"""

from typing import NamedTuple, Sequence

from benchmarking.workload import Batch

BACKWARD = 2  # the gradient of a matrix product consists of two products
MATRIX_SIZE = 2048  # of the product that measures the peak


class NetworkSize(NamedTuple):
    hidden: int
    layers: int  # of the encoder, and of the decoder
    vocabulary: int

    @property
    def source_position(self) -> int:
        """Encoder: 16 H^2 weights in layer 1 (both directions), 12 H^2 in layer 2, 8 H^2 above, and H^2 for the key."""
        return 2 * (16 + 12 + 8 * (self.layers - 2) + 1) * self.hidden**2

    @property
    def target_position(self) -> int:
        """Decoder: 8 H^2 weights in layer 1, 12 H^2 above, and H^2 for the query; without the sums of the attention."""
        return 2 * ((8 + 12 * (self.layers - 1) + 1) * self.hidden**2 + self.vocabulary * self.hidden)

    def attention(self, source_length: int) -> int:
        return 6 * source_length * self.hidden


def update_operations(size: NetworkSize, batches: Sequence[Batch]) -> int:
    """Returns the operations of forward and backward over each batch once.

    Args:
        size: sizes of the network.
        batches: batches of the measurement.
    """
    forward = 0
    for batch in batches:
        forward += batch.source_tokens * size.source_position + batch.target_tokens * size.target_position
        for source, target in zip(batch.sources, batch.targets):
            forward += (len(target) + 1) * size.attention(len(source) + 1)
    return (1 + BACKWARD) * forward


def translation_operations(size: NetworkSize, batches: Sequence[Batch], beam: int) -> int:
    """Returns the operations of encoding each batch, and of decoding it for the length of its longest target.

    A sentence has one hypothesis at the first step.

    Args:
        size: sizes of the network.
        batches: batches of the measurement.
        beam: beam size.
    """
    total = 0
    for batch in batches:
        rows = 1 + (batch.longest_target - 1) * beam
        total += batch.source_tokens * size.source_position
        for source in batch.sources:
            total += rows * (size.target_position + size.attention(len(source) + 1))
    return total
