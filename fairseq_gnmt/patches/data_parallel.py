"""Lets torch's data parallelism wrap models that are on the CPU, or on several GPUs of one process.

fairseq always names one GPU for --ddp-backend pytorch_ddp. torch refuses that for other models: each of their parameters
is reduced where it is.
"""

from fairseq.models import distributed_fairseq_model
from torch import nn
from torch.nn.parallel import DistributedDataParallel


def wrap_models_where_they_are() -> None:
    """Replaces what fairseq calls to wrap a model for --ddp-backend pytorch_ddp."""
    distributed_fairseq_model.DistributedDataParallel = wrap


def wrap(module: nn.Module, device_ids=None, output_device=None, **options) -> DistributedDataParallel:
    """Wraps a model; the device that fairseq names is left out unless all parameters are on one GPU."""
    devices = {parameter.device for parameter in module.parameters()}
    if len(devices) > 1 or any(device.type == "cpu" for device in devices):
        device_ids = output_device = None
    return DistributedDataParallel(module, device_ids=device_ids, output_device=output_device, **options)
