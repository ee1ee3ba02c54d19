"""torch's data parallelism for models on the CPU, or on several GPUs of one process.

fairseq always names one GPU for --ddp-backend pytorch_ddp, which torch rejects for these models. Without a named
device, torch reduces each parameter on its own device.
"""

from fairseq.models import distributed_fairseq_model
from torch import nn
from torch.nn.parallel import DistributedDataParallel


def wrap_models_where_they_are() -> None:
    """Replaces the class with which fairseq wraps a model for --ddp-backend pytorch_ddp."""
    distributed_fairseq_model.DistributedDataParallel = wrap


def wrap(module: nn.Module, device_ids=None, output_device=None, **options) -> DistributedDataParallel:
    """Wraps a model; fairseq's device is ignored unless all parameters are on one GPU.

    Args:
        module: model to wrap.
        device_ids: devices of the model, from fairseq.
        output_device: device of the outputs, from fairseq.
        options: further options of DistributedDataParallel.
    """
    devices = {parameter.device for parameter in module.parameters()}
    if len(devices) > 1 or any(device.type == "cpu" for device in devices):
        device_ids = output_device = None
    return DistributedDataParallel(module, device_ids=device_ids, output_device=output_device, **options)
