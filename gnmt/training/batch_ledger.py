"""Batches whose gradients are outstanding, and a bound on their staleness.

The staleness of a gradient is the number of updates between the parameters that it was computed from and the parameters
that it changes. Stale synchronous parallel training bounds it (Ho et al., 2013). With a bound of 0 there is one batch
at a time, as in a training by one process.
"""

from typing import Dict, Optional


class BatchLedger:
    """Outstanding batches in the order in which they were handed out.

    If gradients were applied in this order, batch number r (from 0) would wait for r further updates. It has slack as
    long as its staleness would then be below the bound. A gradient may overtake only batches that have slack.

    Args:
        max_staleness: the bound.
    """

    def __init__(self, max_staleness: int):
        self._max_staleness = max_staleness
        self._updates = 0
        self._begun: Dict[int, int] = {}  # number of a batch -> updates when it was handed out
        self._finished: Dict[int, bool] = {}

    def may_hand_out(self) -> bool:
        """Tells whether one more batch can stay within the bound."""
        return len(self._begun) <= self._max_staleness

    def hand_out(self, batch: int) -> None:
        """Notes that a replica begins with a batch, from the present parameters."""
        self._begun[batch] = self._updates
        self._finished[batch] = False

    def take_back(self, batch: int) -> None:
        """Notes that the replica of a batch has died."""
        del self._begun[batch], self._finished[batch]

    def finish(self, batch: int) -> None:
        """Notes that the gradient of a batch is there."""
        self._finished[batch] = True

    def applicable(self) -> Optional[int]:
        """Returns the first batch whose gradient may be applied now; None if there is none."""
        for place, (batch, begun) in enumerate(self._begun.items()):
            if self._finished[batch]:
                return batch
            if self._updates - begun + place >= self._max_staleness:  # it must not be overtaken
                return None
        return None

    def apply(self, batch: int) -> int:
        """Notes that the gradient of a batch is applied, and returns its staleness."""
        staleness = self._updates - self._begun[batch]
        self.take_back(batch)
        self._updates += 1
        return staleness
