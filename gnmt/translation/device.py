"""Device of a translator."""

import torch

from gnmt.errors import UserError


def available_device(name: str) -> torch.device:
    """Returns a torch device.

    Args:
        name: torch device, such as "cpu" or "cuda:0".

    Raises:
        UserError: if this machine does not have the device.
    """
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(
            f"The device {name!r} is not available ({str(error).splitlines()[0][:100]}): use cpu."
        ) from error
    return device
