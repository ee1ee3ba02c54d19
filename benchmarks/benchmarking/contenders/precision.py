"""Mixed precision for any network: weights, gradients and optimizer in float32, large products in 16 bits."""

from typing import Any, Callable

import torch

from benchmarking.contenders.setting import Setting

TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def in_precision(compute: Callable, setting: Setting) -> Callable:
    """Returns the function with its products in the precision of the setting, by torch.autocast.

    Args:
        compute: function to wrap.
        setting: setting of the contender, with device and precision.
    """

    def computed(*arguments: Any, **keywords: Any) -> Any:
        precision = TYPES[setting.precision]
        is_mixed = precision != torch.float32
        with torch.autocast(setting.device, precision if is_mixed else None, enabled=is_mixed):
            return compute(*arguments, **keywords)

    return computed
