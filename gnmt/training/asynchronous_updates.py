"""Asynchronous updates: assigns batches to replicas, which may be killed, and applies gradients of bounded staleness.

One process decides the order of all updates, so that it is the same for every shard of the parameters. This process
sends only numbers and references; gradients are passed from replicas to servers.
"""

from collections import deque
from typing import Any, Callable, Deque, Dict, List, NamedTuple, Optional, Protocol

from gnmt.errors import UserError
from gnmt.training.batch_ledger import BatchLedger

MAX_ATTEMPTS = 5  # number of replicas killed while processing the same batch at which the training ends


class Outcome(NamedTuple):
    """Result of a batch; the gradient is None if the replica was killed."""

    batch: int
    gradient: Optional[Any]


class Applied(NamedTuple):
    """Gradient that was applied."""

    batch: int
    gradient: Any
    staleness: int


class Replicas(Protocol):
    """Interface of replicas and parameter servers."""

    def idle(self) -> bool:
        """Returns True if a replica waits for a batch."""

    def start(self, number: int, batch: Any) -> None:
        """Starts the computation of a batch's gradient from the current parameters on an idle replica.

        Args:
            number: number of the batch.
            batch: data of the batch.
        """

    def wait(self) -> List[Outcome]:
        """Waits until a batch has ended or a replica has become idle."""

    def apply(self, gradient: Any, rate: float) -> None:
        """Applies a gradient with a learning rate on all servers, in the order of the calls."""


class AsynchronousUpdates:
    """Sequence of updates from batches that several replicas process at the same time.

    Args:
        replicas: replicas that compute gradients, and servers that apply them.
        max_staleness: maximum staleness of a gradient, in updates.
    """

    def __init__(self, replicas: Replicas, max_staleness: int):
        self._replicas = replicas
        self._ledger = BatchLedger(max_staleness)
        self._batches: Dict[int, Any] = {}  # batches that are not applied yet
        self._waiting: List[int] = []  # numbers of batches without a replica
        self._attempts: Dict[int, int] = {}
        self._gradients: Dict[int, Any] = {}
        self._rates: Deque[float] = deque()

    def submit(self, number: int, batch: Any, rate: float) -> List[Applied]:
        """Assigns a batch to a replica, and returns when another batch can be assigned.

        Args:
            number: number of the batch, larger than the numbers before.
            batch: argument of `Replicas.start`.
            rate: learning rate of update `number`, even if that update applies the gradient of another batch.

        Returns:
            The gradients that were applied during the call.

        Raises:
            UserError: if too many replicas were killed on one batch.
        """
        self._batches[number] = batch
        self._waiting.append(number)
        self._rates.append(rate)
        return self._go_on(lambda: not self._waiting and self._may_hand_out())

    def drain(self) -> List[Applied]:
        """Waits for all batches, and returns the gradients that were applied during the call."""
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
        if self._attempts[number] == MAX_ATTEMPTS:
            raise UserError(
                f"{MAX_ATTEMPTS} replicas were killed while processing the batch of update {number + 1}: if the memory is not "
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
