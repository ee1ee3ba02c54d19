"""Process of a server, which holds a shard of the parameters and the optimizer's state."""

import os
from typing import Any, Dict, Sequence

import numpy as np
from fairseq import optim
from omegaconf import OmegaConf

from gnmt.training.flat_buffers import FlatState
from gnmt.training.parameter_shard import ParameterShard


class Server(ParameterShard):
    """Shard with an optimizer of fairseq; its methods are called by Ray, in the order of their calls.

    Args:
        options: configuration of the training as a dictionary.
        parameters: flat buffer.
        sizes: of its pieces.
        state: of the optimizer.
    """

    def __init__(self, options: Dict[str, Any], parameters: np.ndarray, sizes: Sequence[int], state: FlatState):
        cfg = OmegaConf.create(options).optimizer
        super().__init__(parameters, sizes, state, lambda pieces: optim.build_optimizer(cfg, pieces).optimizer)

    def process(self) -> int:
        """Returns the number of the process."""
        return os.getpid()
