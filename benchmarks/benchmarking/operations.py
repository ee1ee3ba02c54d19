"""Floating-point operations of GNMT, in any implementation: 2 for each multiplication with addition.

H hidden size, V vocabulary, S source length; additive attention costs about 6 S H for a target position. Padding
counts as nothing, so that computing it is a loss.
"""

from typing import NamedTuple, Sequence

from benchmarking.workload import Batch

BACKWARD = 2  # a matrix product has two in its gradient
MATRIX_SIZE = 2048  # of the product that the peak is measured with


class NetworkSize(NamedTuple):
    hidden: int
    layers: int  # of the encoder, and of the decoder
    vocabulary: int

    @property
    def source_position(self) -> int:
        """Encoder: 16 H^2 weights in layer 1 (both directions), 12 in layer 2, 8 above; 1 projects the key."""
        return 2 * (16 + 12 + 8 * (self.layers - 2) + 1) * self.hidden**2

    @property
    def target_position(self) -> int:
        """Decoder: 8 H^2 weights in layer 1, 12 above; 1 projects the query. Attention's sums are not here."""
        return 2 * ((8 + 12 * (self.layers - 1) + 1) * self.hidden**2 + self.vocabulary * self.hidden)

    def attention(self, source_length: int) -> int:
        return 6 * source_length * self.hidden


def update_operations(size: NetworkSize, batches: Sequence[Batch]) -> int:
    """Forward and backward over each batch once."""
    forward = 0
    for batch in batches:
        forward += batch.source_tokens * size.source_position + batch.target_tokens * size.target_position
        for source, target in zip(batch.sources, batch.targets):
            forward += (len(target) + 1) * size.attention(len(source) + 1)
    return (1 + BACKWARD) * forward


def translation_operations(size: NetworkSize, batches: Sequence[Batch], beam: int) -> int:
    """Each batch encoded, then decoded for as many steps as its longest target has tokens.

    All hypotheses are one at the first step.
    """
    total = 0
    for batch in batches:
        rows = 1 + (batch.longest_target - 1) * beam
        total += batch.source_tokens * size.source_position
        for source in batch.sources:
            total += rows * (size.target_position + size.attention(len(source) + 1))
    return total
