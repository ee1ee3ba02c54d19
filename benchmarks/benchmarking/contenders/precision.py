"""Training in bf16: weights, gradients and optimizer in float32, large products in bfloat16, for any network."""

from typing import Any, Callable

import torch

from benchmarking.contenders.setting import Setting

TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def in_precision(compute: Callable, setting: Setting) -> Callable:
    """Returns the function with its products in the precision of the setting, by torch.autocast."""

    def computed(*arguments: Any, **keywords: Any) -> Any:
        precision = TYPES[setting.precision]
        with torch.autocast(setting.device, torch.bfloat16, enabled=precision == torch.bfloat16):
            return compute(*arguments, **keywords)

    return computed
