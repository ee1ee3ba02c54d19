"""fairseq's --use-bmuf with checkpoints from which a training run can resume exactly.

Between two synchronisations fairseq saves the first replica's weights, but neither the block momentum nor the number of
updates. After the warm-up fairseq resets the optimizer, including its count of updates, to the state after its
construction or loading. --average-sync has no effect with most optimizers.
"""

from typing import Any, Dict, Optional

import torch
from fairseq import optim
from fairseq.optim import bmuf

from gnmt.training.block_momentum import BlockFilter, average, broadcast_from_first, filtered, moments

BLOCKS = "bmuf"  # key of the optimizer's state


def install_resumable_bmuf() -> None:
    """Replaces the class with which fairseq's trainer wraps an optimizer."""
    optim.FairseqBMUF = FairseqBMUF


class FairseqBMUF(bmuf.FairseqBMUF):
    """BMUF with a complete state. The class keeps fairseq's name, which checkpoints store and compare.

    Args:
        cfg: fairseq's configuration.
        optimizer: optimizer of each replica.
    """

    def __init__(self, cfg: Any, optimizer: optim.FairseqOptimizer):
        super().__init__(cfg, optimizer)
        self.filter = BlockFilter(self.block_momentum, self.block_lr, self.use_nbm)
        self.updates_since_sync = 0  # updates of the replicas since the last synchronisation

    def step(self, closure=None) -> None:
        """Runs an update, and synchronises the replicas at the end of a block."""
        self.updates_since_sync += 1
        super().step(closure)

    def synchronise(self) -> None:
        """Makes all replicas equal before a validation or a checkpoint; all processes must call it.

        In the warm-up all replicas receive the first replica's weights, as at the end of the warm-up. Later a block
        ends early. Moments are averaged, even without --average-sync, because a checkpoint contains one set of moments.
        """
        if not self.updates_since_sync:
            return
        if self.get_num_updates() < self.warmup_iteration:
            broadcast_from_first([*self._weights(), *moments(self.optimizer)])
            self.updates_since_sync = 0
        else:
            self._block_sync()
            if not self.average_sync:
                self.average_params()

    def average_params(self) -> None:
        """Averages the moments of the optimizers; fairseq calls this method for --average-sync."""
        average(moments(self.optimizer))

    def state_dict(self) -> Dict[str, Any]:
        """Returns the states of the optimizer and of the blocks."""
        blocks = {"updates": self.get_num_updates(), "momentum": list(self.smoothed_grads)}
        return {**super().state_dict(), BLOCKS: blocks}

    def load_state_dict(self, state_dict: Dict[str, Any], optimizer_overrides: Optional[Dict[str, Any]] = None) -> None:
        """Loads the states of the optimizer and of the blocks.

        Args:
            state_dict: result of `state_dict`; a state of fairseq's own class starts new blocks.
            optimizer_overrides: options that replace stored options of the optimizer.
        """
        blocks = state_dict.get(BLOCKS)
        super().load_state_dict(
            {name: part for name, part in state_dict.items() if name != BLOCKS}, optimizer_overrides
        )
        if blocks is not None:
            self.set_num_updates(int(blocks["updates"]))
            for momentum, saved in zip(self.smoothed_grads, blocks["momentum"], strict=True):
                momentum.copy_(saved)

    def _weights(self) -> list:
        return [parameter.data for parameter in self.params]

    def _warmup_sync(self, root_rank: int = 0) -> None:
        """Copies the first replica's weights to all replicas, with fresh or averaged moments."""
        broadcast_from_first(self._weights())
        if self.average_sync:
            self.average_params()
        else:
            self.optimizer.state.clear()
        self._reset_local_data()
        self.updates_since_sync = 0

    def _block_sync(self) -> None:
        """Ends a block: filters the mean of the replicas, and copies the result to all of them."""
        weights = self._weights()
        average(weights)
        for weight, start, velocity in zip(weights, self.global_params, self.smoothed_grads):
            weight.copy_(filtered(weight, start, velocity, self.filter))
            start.copy_(weight)
        if self.average_sync:
            self.average_params()
        self.updates_since_sync = 0

    @torch.no_grad()
    def _reset_local_data(self) -> None:
        """Starts the first block with the current weights as global weights, without momentum."""
        self.global_params = [weights.clone() for weights in self._weights()]
        self.smoothed_grads = [torch.zeros_like(weights) for weights in self._weights()]
