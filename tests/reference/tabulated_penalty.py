"""A length penalty that need not grow with the length."""
from dataclasses import dataclass
from typing import Tuple, Union

import torch
from torch import Tensor


@dataclass(frozen=True)
class TabulatedLengthPenalty:
    """Any penalty, as a table of the lengths 1, 2, 3, ...; longer translations have the last entry."""

    table: Tuple[float, ...]

    def __call__(self, length: Union[int, Tensor]) -> Union[float, Tensor]:
        if isinstance(length, int):
            return self.table[min(length, len(self.table)) - 1]
        return torch.tensor(self.table, device=length.device)[length.clamp(1, len(self.table)) - 1]

    def largest(self, first: int, last: Tensor) -> Tensor:
        start = min(first, len(self.table)) - 1
        rising = torch.tensor(self.table[start:], device=last.device).cummax(dim=0).values
        return rising[(last - 1 - start).clamp(0, len(rising) - 1)]
