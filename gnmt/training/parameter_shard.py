"""Shard of the parameters with the optimizer's state; applies gradients in the order of their arrival.

It is the state of one parameter server (Li et al., 2014; Dean et al., 2012), without communication.
"""

from typing import Callable, List, Sequence, Tuple

import numpy as np
import torch
from torch.nn import Parameter

from gnmt.training.flat_buffers import FlatState, copy_state, load_state


class ParameterShard:
    """Parameters of one shard and their optimizer.

    Args:
        parameters: flat float32 buffer, which is copied.
        sizes: sizes of the pieces of the shard, as in `flat_buffers.Shard`.
        state: state of the optimizer for this shard.
        make_optimizer: returns an elementwise optimizer for a list of parameters.
    """

    def __init__(
        self,
        parameters: np.ndarray,
        sizes: Sequence[int],
        state: FlatState,
        make_optimizer: Callable[[List[Parameter]], torch.optim.Optimizer],
    ):
        self._parameters = np.array(parameters, dtype=np.float32)
        self._gradient = np.zeros_like(self._parameters)
        pieces = [Parameter(piece) for piece in torch.from_numpy(self._parameters).split(list(sizes))]
        for piece, gradient in zip(pieces, torch.from_numpy(self._gradient).split(list(sizes))):
            piece.grad = gradient
        self._optimizer = make_optimizer(pieces)
        load_state(self._optimizer, state)

    def apply(self, gradient: np.ndarray, rate: float) -> None:
        """Applies one gradient.

        Args:
            gradient: flat buffer of the shard's size, clipped and divided by the sample size.
            rate: learning rate of this update.
        """
        self._gradient[:] = gradient
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.step()

    def parameters(self) -> np.ndarray:
        """Returns a copy of the current parameters."""
        return self._parameters.copy()

    def state(self) -> Tuple[np.ndarray, FlatState]:
        """Returns copies of the current parameters and the optimizer's state."""
        return self.parameters(), copy_state(self._optimizer)
