"""Source memory of a running search, in groups of sentences of similar length.

Each group is padded separately, so short sentences are not padded to the length of long sentences. New sentences form
new groups, and sentences that leave change only their groups: the memory of other sentences is not copied.

Shapes: B sentences of all groups, b of one group, S source positions, N rows (B x hypotheses), Q rows of a sentence.
"""

import math
from typing import List, NamedTuple, Sequence, Tuple

import torch
from torch import Tensor
from torch.nn import functional as F

from gnmt.network.attention import SourceMemory
from gnmt.network.encoder import EncoderOutput

# Maximum number of padding positions of a group when it is formed. Fewer positions make more groups, and each group has a
# fixed cost per step. Values from 16 to 64 differ in speed by at most 6 % (int8, H = 256 and 1024).
MAX_PADDING = 32


class GroupedMemory(NamedTuple):
    """Encoded sentences; the sentences of the first group come first."""

    groups: Tuple[SourceMemory, ...]

    @property
    def num_sentences(self) -> int:
        """Number of sentences B."""
        return sum(len(group.keys) for group in self.groups)

    def select(self, sentences: Tensor) -> "GroupedMemory":
        """Returns the memory of the given sentences; groups that keep all sentences are not copied.

        Args:
            sentences: indices into this memory, in ascending order without repetition.
        """
        kept, first = [], 0
        for group in self.groups:
            end = first + len(group.keys)
            within = sentences[(sentences >= first) & (sentences < end)] - first
            if len(within) == len(group.keys):
                kept.append(group)
            elif len(within):
                kept.append(group.select(within))
            first = end
        return GroupedMemory(tuple(kept))

    def join(self, others: "GroupedMemory") -> "GroupedMemory":
        """Returns these sentences followed by others. On a GPU, they are joined into one group."""
        groups = (*self.groups, *others.groups)
        if groups[0].keys.device.type != "cpu":  # more groups would need more kernels
            return GroupedMemory((groups[0].join(groups[1]),))
        return GroupedMemory(groups)

    def split_rows(self, rows: Tensor) -> List[Tensor]:
        """Returns the rows of each group, (b, Q, ...), as views.

        Args:
            rows: (N, ...), rows of all sentences.
        """
        per_sentence = len(rows) // self.num_sentences
        sizes = [per_sentence * len(group.keys) for group in self.groups]
        return [part.unflatten(0, (-1, per_sentence)) for part in rows.split(sizes)]


def split_by_length(encoded: EncoderOutput, boundary: float = math.inf) -> List[EncoderOutput]:
    """Splits encoded sentences into groups of adjacent sentences; each group is as wide as its longest sentence.

    A sentence of only padding keeps one position. On a GPU there is one group.

    Args:
        encoded: encoder outputs of B sentences; padding on the right is removed, padding on the left is kept.
        boundary: source length; longer sentences are not in a group with the other sentences.
    """
    outputs, padding_mask = encoded
    if outputs.device.type != "cpu":
        return [encoded]
    positions = torch.arange(1, padding_mask.size(1) + 1)
    lengths = positions.masked_fill(padding_mask, 0).amax(dim=1).clamp(min=1).tolist()
    parts, first = [], 0
    for size in group_sizes(lengths, boundary):
        width = max(lengths[first : first + size])
        parts.append(EncoderOutput(*(part[first : first + size, :width] for part in encoded)))
        first += size
    return parts


def group_sizes(lengths: Sequence[int], boundary: float = math.inf, max_padding: int = MAX_PADDING) -> List[int]:
    """Returns the sizes of groups of adjacent sentences; a group grows until its padding would exceed the maximum.

    Args:
        lengths: source length of each sentence, best in sorted order.
        boundary: source length; longer sentences are not in a group with the other sentences.
        max_padding: maximum number of padding positions of a group.
    """
    sizes: List[int] = []
    longest = total = 0
    for length in lengths:
        is_separate = (longest > boundary) != (length > boundary)
        longest, total = max(longest, length), total + length
        if sizes and not is_separate and longest * (sizes[-1] + 1) - total <= max_padding:
            sizes[-1] += 1
        else:
            sizes.append(1)
            longest = total = length
    return sizes


def join_columns(weights: Sequence[Tensor]) -> Tensor:
    """Returns the attention weights (N, S) of all groups, with zeros where a group has fewer source positions.

    Args:
        weights: (b, Q, S) of each group.
    """
    if len(weights) == 1:
        return weights[0].flatten(0, 1)
    width = max(part.size(2) for part in weights)
    return torch.cat([F.pad(part.flatten(0, 1), (0, width - part.size(2))) for part in weights])
