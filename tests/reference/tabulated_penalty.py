"""A length penalty that need not increase with the length."""

from dataclasses import dataclass
from typing import Tuple

import torch
from torch import Tensor


@dataclass(frozen=True)
class TabulatedLengthPenalty:
    """Length penalty given as a table for lengths 1, 2, 3, ...; the last entry applies to longer translations."""

    table: Tuple[float, ...]

    def __call__(self, length: Tensor) -> Tensor:
        return torch.tensor(self.table, device=length.device)[length.clamp(1, len(self.table)) - 1]

    def largest(self, first: Tensor, last: Tensor) -> Tensor:
        pairs = zip(first.tolist(), last.tolist())
        largest = [
            max(self.table[min(length, len(self.table)) - 1] for length in range(shortest, max(shortest, longest) + 1))
            for shortest, longest in pairs
        ]
        return torch.tensor(largest, device=last.device)
