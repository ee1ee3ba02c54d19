"""Asynchronous updates by replicas that may die: gives out batches, and applies gradients within the bound of staleness.

One process decides on the order of all updates, so that every shard of the parameters sees the same order. It sends
numbers and references only; gradients go from replicas to servers.
"""

from collections import deque
from typing import Any, Callable, Deque, Dict, List, NamedTuple, Optional, Protocol

from gnmt.errors import UserError
from gnmt.training.batch_ledger import BatchLedger

MOST_ATTEMPTS = 5  # at one batch


class Outcome(NamedTuple):
    """End of the work on a batch; the gradient is None if the replica has died."""

    batch: int
    gradient: Optional[Any]


class Applied(NamedTuple):
    """Gradient that was applied."""

    batch: int
    gradient: Any
    staleness: int


class Replicas(Protocol):
    """Replicas and servers behind any engine."""

    def idle(self) -> bool:
        """Tells whether a replica waits for a batch."""

    def start(self, number: int, batch: Any) -> None:
        """Lets an idle replica compute the gradient of a batch from the present parameters."""

    def wait(self) -> List[Outcome]:
        """Waits until a batch has come to its end or a replica has become idle."""

    def apply(self, gradient: Any, rate: float) -> None:
        """Lets all servers apply a gradient with a learning rate, after those before and before those after."""


class AsynchronousUpdates:
    """Sequence of updates from batches that are learnt at the same time.

    Args:
        replicas: that compute gradients.
        max_staleness: bound for the staleness of a gradient.
    """

    def __init__(self, replicas: Replicas, max_staleness: int):
        self._replicas = replicas
        self._ledger = BatchLedger(max_staleness)
        self._batches: Dict[int, Any] = {}  # that are not applied yet
        self._waiting: List[int] = []  # numbers of those that no replica has
        self._attempts: Dict[int, int] = {}
        self._gradients: Dict[int, Any] = {}
        self._rates: Deque[float] = deque()

    def submit(self, number: int, batch: Any, rate: float) -> List[Applied]:
        """Gives a batch to a replica, and returns when the next batch could be given to one.

        Args:
            number: of the batch; they are given in ascending order.
            batch: what a replica takes.
            rate: learning rate of the update after the updates of all batches before, whichever gradient makes it.

        Returns:
            The gradients that were applied meanwhile.
        """
        self._batches[number] = batch
        self._waiting.append(number)
        self._rates.append(rate)
        return self._go_on(lambda: not self._waiting and self._may_hand_out())

    def drain(self) -> List[Applied]:
        """Waits for all batches, and returns the gradients that were applied meanwhile."""
        return self._go_on(lambda: not self._batches)

    def _go_on(self, enough: Callable[[], bool]) -> List[Applied]:
        applied: List[Applied] = []
        while True:
            while self._waiting and self._may_hand_out():
                number = self._waiting.pop(0)
                self._ledger.hand_out(number)
                self._replicas.start(number, self._batches[number])
            if enough():
                return applied
            for outcome in self._replicas.wait():
                self._note(outcome)
            applied += self._apply()

    def _may_hand_out(self) -> bool:
        return self._ledger.may_hand_out() and self._replicas.idle()

    def _note(self, outcome: Outcome) -> None:
        number, gradient = outcome
        if gradient is not None:
            self._gradients[number] = gradient
            self._ledger.finish(number)
            return
        self._ledger.take_back(number)
        self._waiting = sorted([*self._waiting, number])
        self._attempts[number] = self._attempts.get(number, 0) + 1
        if self._attempts[number] == MOST_ATTEMPTS:
            raise UserError(
                f"{MOST_ATTEMPTS} replicas have died over the batch of update {number + 1}: if the memory is not "
                "enough, give a smaller --batch-size or fewer replicas."
            )

    def _apply(self) -> List[Applied]:
        applied = []
        while (number := self._ledger.applicable()) is not None:
            gradient = self._gradients.pop(number)
            staleness = self._ledger.apply(number)
            self._replicas.apply(gradient, self._rates.popleft())
            del self._batches[number]
            self._attempts.pop(number, None)
            applied.append(Applied(number, gradient, staleness))
        return applied
