"""Weights of a network in a safetensors file, in float32, half precision, or 8-bit integers with scales."""

from pathlib import Path
from typing import Dict, List, Mapping, Tuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from gnmt.errors import UserError
from gnmt.network.gnmt import GNMTNetwork
from gnmt.quantization.storage import INTEGERS, SCALE, to_floats, to_integers

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def write_weights(path: Path, network: nn.Module, precision: str) -> None:
    """Writes the weights of a network; shared weights are written once.

    Args:
        path: file to write.
        network: network in float32.
        precision: type of matrices: "fp32", "bf16", "fp16" or "int8"; vectors stay in float32. Integers have scales
            (quantization.storage), and matrices of the attention then stay in float32.

    Raises:
        UserError: if the file cannot be written.
    """
    state = {name: value.detach().float() for name, value in network.state_dict().items()}
    unique = {name: state[name] for name in _unique_names(network)}
    if precision == "int8":
        integers = to_integers(state)
        stored = {
            name: integers[name] for name in integers if name.removesuffix(INTEGERS).removesuffix(SCALE) in unique
        }
    else:
        stored = {name: value.to(DTYPES[precision]) if value.dim() > 1 else value for name, value in unique.items()}
    path.touch()
    mode = path.stat().st_mode  # save_file replaces the file by one that only its owner can read
    try:
        save_file({name: value.contiguous().clone() for name, value in stored.items()}, path, metadata={"format": "pt"})
    except SafetensorError as error:
        raise UserError(f"{path} could not be written ({error}): make room on its disk.") from error
    path.chmod(mode)


def read_weights(path: Path, network: GNMTNetwork) -> None:
    """Loads the weights of a network, in place, as float32, after a check of names and sizes.

    Args:
        path: file to read.
        network: may be on the meta device; receives the weights.

    Raises:
        UserError: if the file is missing or damaged, or its weights do not match the network.
    """
    names = _unique_names(network)
    try:
        with safe_open(path, framework="pt") as file:
            built = network.state_dict()
            _check_shapes(path, file, {name: tuple(built[name].shape) for name in names})
            state: Dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} cannot be read as safetensors ({error}): copy the model folder again.") from error
    to_floats(state)
    for name, value in state.items():
        if not torch.isfinite(value).all():
            raise UserError(
                f"{path} has numbers in the weight {name} that are not finite: export an earlier checkpoint."
            )
    network.to_empty(device="cpu")
    tie_output(network)
    network.load_state_dict({name: value.float() for name, value in state.items()}, strict=False)


def tie_output(network: GNMTNetwork) -> None:
    """Ties the output projection to the target embeddings; moving a network off the meta device unties them."""
    if network.config.tie_output:
        network.decoder.output_projection.weight = network.decoder.embed_tokens.weight


def _unique_names(network: nn.Module) -> List[str]:
    """Returns the names of parameters and buffers; shared weights have one name."""
    return [name for name, _ in network.named_parameters()] + [name for name, _ in network.named_buffers()]


def _check_shapes(path: Path, file, expected: Mapping[str, Tuple[int, ...]]) -> None:
    shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    for name, shape in expected.items():
        stored_shape = shapes.pop(name, None) or shapes.pop(name + INTEGERS, None)
        if stored_shape is None:
            raise UserError(f"{path} lacks the weight {name}: it is not the file of this config.json.")
        if stored_shape != shape:
            raise UserError(f"{path} has {name} of {stored_shape}, but config.json describes {shape}.")
        scale = shapes.pop(name + SCALE, None)
        if scale is not None and (len(scale) != 2 or scale[0] != shape[0] or not scale[1] or shape[1] % scale[1]):
            raise UserError(f"{path} has scales of {scale} for {name} of {shape}: copy the model folder again.")
    if shapes:
        raise UserError(f"{path} has the weight {min(shapes)}, which this network does not have.")
