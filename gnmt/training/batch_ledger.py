"""Outstanding batches, and a bound on the staleness of their gradients.

A gradient is computed from the parameters after some update, and applied in a later update. Its staleness is the number
of updates in between. Stale synchronous parallel training bounds the staleness (Ho et al., 2013). With a bound of 0,
batches are processed one at a time, as in a training run with one process.
"""

from typing import Dict, Optional


class BatchLedger:
    """Outstanding batches in the order of their assignment to replicas.

    If gradients were applied in this order, the batch at index r would be applied after r further updates. The batch
    has slack if its staleness would then be below the bound. The gradient of a later batch may be applied before an earlier
    one only if the earlier batch has slack.

    Args:
        max_staleness: the bound, in updates.
    """

    def __init__(self, max_staleness: int):
        self._max_staleness = max_staleness
        self._updates = 0
        self._begun: Dict[int, int] = {}  # number of a batch -> number of updates at its assignment
        self._finished: Dict[int, bool] = {}

    def may_hand_out(self) -> bool:
        """Returns True if a further batch can be assigned without exceeding the bound."""
        return len(self._begun) <= self._max_staleness

    def hand_out(self, batch: int) -> None:
        """Records the assignment of a batch to a replica, which starts from the current parameters."""
        self._begun[batch] = self._updates
        self._finished[batch] = False

    def take_back(self, batch: int) -> None:
        """Records that the replica of a batch was killed."""
        del self._begun[batch], self._finished[batch]

    def finish(self, batch: int) -> None:
        """Records that the gradient of a batch is computed."""
        self._finished[batch] = True

    def applicable(self) -> Optional[int]:
        """Returns the first batch with a gradient that may be applied now; None if there is none."""
        for place, (batch, begun) in enumerate(self._begun.items()):
            if self._finished[batch]:
                return batch
            if self._updates - begun + place >= self._max_staleness:  # no slack: later gradients must wait
                return None
        return None

    def apply(self, batch: int) -> int:
        """Records that the gradient of a batch is applied, and returns its staleness."""
        staleness = self._updates - self._begun[batch]
        self.take_back(batch)
        self._updates += 1
        return staleness
