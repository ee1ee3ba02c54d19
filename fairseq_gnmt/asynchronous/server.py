"""Process of a parameter server, which holds a shard of the parameters and the optimizer's state."""

import os
from typing import Any, Dict, Sequence

import numpy as np
from fairseq import optim
from omegaconf import OmegaConf

from gnmt.training.flat_buffers import FlatState
from gnmt.training.parameter_shard import ParameterShard


class Server(ParameterShard):
    """Parameter shard with a fairseq optimizer; its methods are called through Ray, in order.

    Args:
        options: configuration of the training as a dictionary.
        parameters: flat buffer.
        sizes: sizes of the parameters in the buffer.
        state: state of the optimizer.
    """

    def __init__(self, options: Dict[str, Any], parameters: np.ndarray, sizes: Sequence[int], state: FlatState):
        cfg = OmegaConf.create(options).optimizer
        super().__init__(parameters, sizes, state, lambda pieces: optim.build_optimizer(cfg, pieces).optimizer)

    def process(self) -> int:
        """Returns the process id."""
        return os.getpid()
