"""Lets fairseq-train --bf16 run on GPUs and CPUs.

fairseq assumes that bfloat16 is for TPUs and sets --tpu. The rest of its training in bfloat16 (float32 master weights, no
loss scale) works on any device.
"""

import importlib.util

from fairseq.distributed import utils as distributed_utils


def allow_bfloat16_without_tpu() -> None:
    """Clears the --tpu that --bf16 has set where there is no torch_xla, before fairseq sets up its processes."""
    call_main = distributed_utils.call_main

    def call_without_tpu(cfg, main, **kwargs):
        if cfg.common.bf16 and importlib.util.find_spec("torch_xla") is None:
            cfg.common.tpu = False
        return call_main(cfg, main, **kwargs)

    distributed_utils.call_main = call_without_tpu
