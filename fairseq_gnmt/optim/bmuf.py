"""fairseq's --use-bmuf with checkpoints that a training can go on from.

fairseq saves what the first replica happens to have between two synchronisations, neither the block momentum nor the
number of updates, and it resets the optimizer after the warm-up to what it was when it was built or loaded, its count of
updates included. --average-sync does nothing with most optimizers.
"""

from typing import Any, Dict, Optional

import torch
from fairseq import optim
from fairseq.optim import bmuf

from gnmt.training.block_momentum import BlockFilter, average, filtered, moments, take_from_first

BLOCKS = "bmuf"  # key of the optimizer's state


def use_whole_bmuf() -> None:
    """Replaces the class that fairseq's trainer wraps an optimizer with."""
    optim.FairseqBMUF = FairseqBMUF


class FairseqBMUF(bmuf.FairseqBMUF):
    """Keeps fairseq's name: checkpoints store it, and go on only with an optimizer of that name."""

    def __init__(self, cfg: Any, optimizer: optim.FairseqOptimizer):
        super().__init__(cfg, optimizer)
        self.filter = BlockFilter(self.block_momentum, self.block_lr, self.use_nbm)
        self.updates_since_sync = 0  # that the replicas have made apart

    def step(self, closure=None) -> None:
        """Makes an update, and synchronises the replicas when it is time."""
        self.updates_since_sync += 1
        super().step(closure)

    def synchronise(self) -> None:
        """Makes all replicas equal before a validation or a checkpoint. All processes call it.

        In the warm-up the first replica is taken, as at the end of it; later a block ends early. Moments are averaged,
        also without --average-sync, because a checkpoint holds one set of them.
        """
        if not self.updates_since_sync:
            return
        if self.get_num_updates() < self.warmup_iteration:
            take_from_first([*self._weights(), *moments(self.optimizer)])
            self.updates_since_sync = 0
        else:
            self._block_sync()
            if not self.average_sync:
                self.average_params()

    def average_params(self) -> None:
        """Averages the moments of the optimizers, as fairseq calls it (--average-sync)."""
        average(moments(self.optimizer))

    def state_dict(self) -> Dict[str, Any]:
        """Returns the optimizer's state with that of the blocks."""
        blocks = {"updates": self.get_num_updates(), "momentum": list(self.smoothed_grads)}
        return {**super().state_dict(), BLOCKS: blocks}

    def load_state_dict(self, state_dict: Dict[str, Any], optimizer_overrides: Optional[Dict[str, Any]] = None) -> None:
        """Loads both; a state of fairseq's own class has none of the blocks, which then begin anew."""
        blocks = state_dict.get(BLOCKS)
        super().load_state_dict(
            {name: part for name, part in state_dict.items() if name != BLOCKS}, optimizer_overrides
        )
        if blocks is not None:
            self.set_num_updates(int(blocks["updates"]))
            for own, saved in zip(self.smoothed_grads, blocks["momentum"], strict=True):
                own.copy_(saved)

    def _weights(self) -> list:
        return [parameter.data for parameter in self.params]

    def _warmup_sync(self, root_rank: int = 0) -> None:
        """Gives all replicas the weights of the first, and fresh or averaged moments."""
        take_from_first(self._weights())
        if self.average_sync:
            self.average_params()
        else:
            self.optimizer.state.clear()
        self._reset_local_data()
        self.updates_since_sync = 0

    def _block_sync(self) -> None:
        """Ends a block: filters the mean of the replicas, which all of them go on from."""
        weights = self._weights()
        average(weights)
        for own, start, velocity in zip(weights, self.global_params, self.smoothed_grads):
            own.copy_(filtered(own, start, velocity, self.filter))
            start.copy_(own)
        if self.average_sync:
            self.average_params()
        self.updates_since_sync = 0

    @torch.no_grad()
    def _reset_local_data(self) -> None:
        """Starts the first block: the global weights are the present ones, without momentum."""
        self.global_params = [weights.clone() for weights in self._weights()]
        self.smoothed_grads = [torch.zeros_like(weights) for weights in self._weights()]
