"""Reader of checkpoints of this project, fairseq and NVIDIA: the only place that unpickles files.

Nothing in a file is executed, independent of environment variables. The rules are in `pickles`; the tables below list
all globals that a file can name.
"""

import argparse
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO, Union

import numpy as np

from gnmt.checkpoints import numpy_values
from gnmt.checkpoints.archive import load
from gnmt.checkpoints.numpy_values import StoredType
from gnmt.checkpoints.pickles import ForbiddenGlobal, Globals, InvalidPickle, check_key
from gnmt.checkpoints.tensors import STORAGE_TYPES, rebuild_parameter, rebuild_tensor
from gnmt.errors import UserError

REASON_LENGTH = 150  # characters


def ordered_dict(*arguments: Any) -> OrderedDict:
    """Returns an empty OrderedDict.

    Raises:
        InvalidPickle: if there are arguments.
    """
    if arguments:
        raise InvalidPickle("it creates an OrderedDict with arguments")
    return OrderedDict()


def drop_attributes(target: Any, state: Any) -> None:
    """Ignores the attributes that torch adds to a state dict: code versions of its modules.

    Args:
        target: state dict, which is not changed.
        state: attributes in the pickle.
    """


def bytes_of(text: str, encoding: str) -> bytes:
    """Returns bytes, which pickles of protocol 2 store as text.

    Args:
        text: one character per byte.
        encoding: must be "latin1".

    Raises:
        InvalidPickle: for other arguments.
    """
    if type(text) is not str or encoding != "latin1":
        raise InvalidPickle("it has bytes in an unknown encoding")
    return text.encode("latin1")


def empty_bytes() -> bytes:
    """Returns empty bytes, which pickles store as a call."""
    return b""


def set_of(values: list) -> set:
    """Returns the set of the values in a list.

    Raises:
        InvalidPickle: if `values` is not a list.
    """
    if type(values) is not list:
        raise InvalidPickle("it creates a set from a value that is not a list")
    for value in values:
        check_key(value)
    return set(values)


def set_attributes(target: Any, state: dict) -> None:
    """Sets the stored attributes of an object without code.

    Args:
        target: object of a permitted class.
        state: attributes by name.

    Raises:
        InvalidPickle: if the attributes have no names.
    """
    if type(state) is not dict or not all(type(name) is str and not name.startswith("__") for name in state):
        raise InvalidPickle(f"it has a {type(target).__name__} whose attributes have no names")
    vars(target).update(state)


NUMPY = [f"numpy.{core}.multiarray" for core in ("core", "_core")]  # before numpy 2, and since numpy 2
TRAINING = Globals(  # contents of fairseq-train's checkpoints
    constants={**STORAGE_TYPES, "numpy.ndarray": numpy_values.ARRAY},
    functions={
        "collections.OrderedDict": ordered_dict,
        "torch._utils._rebuild_tensor_v2": rebuild_tensor,
        "torch._utils._rebuild_parameter": rebuild_parameter,
        "builtins.set": set_of,
        "builtins.bytes": empty_bytes,
        "_codecs.encode": bytes_of,
        "numpy.dtype": StoredType,
        **{f"{module}.scalar": numpy_values.number for module in NUMPY},
        **{f"{module}._reconstruct": numpy_values.empty_array for module in NUMPY},
    },
    classes={"argparse.Namespace": argparse.Namespace},
    states={
        OrderedDict: drop_attributes,
        argparse.Namespace: set_attributes,
        StoredType: numpy_values.set_order,
        np.ndarray: numpy_values.fill_array,
    },
)


def read(path: Union[str, Path], allowed: Globals = TRAINING, with_weights: bool = True) -> Any:
    """Returns the value that torch.save stored in a file, with tensors on the CPU.

    Args:
        path: file to read.
        allowed: globals that the file may name.
        with_weights: read the tensors' memory; otherwise tensors are on the meta device, and only the structure is
            checked.

    Raises:
        UserError: if the file is missing or damaged, or names a function or class outside `allowed`.
    """
    path = Path(path)
    if not path.exists():
        raise UserError(f"{path} is missing: name a checkpoint.")
    if not path.is_file():
        raise UserError(f"{path} is not a regular file: name a checkpoint.")
    try:
        with open(path, "rb") as file:
            return read_stream(file, str(path), allowed, with_weights)
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror or error}): check the file and its permissions."
        ) from error


def read_stream(file: BinaryIO, name: str, allowed: Globals = TRAINING, with_weights: bool = True) -> Any:
    """Returns the value that torch.save stored in an open file or in memory.

    Args:
        file: open file.
        name: name of the file in error messages.
        allowed: globals that the file may name.
        with_weights: read the tensors' memory; otherwise tensors are on the meta device.

    Raises:
        UserError: if the content is damaged, or names a function or class outside `allowed`.
    """
    try:
        return load(file, allowed, with_weights)
    except ForbiddenGlobal as error:
        raise UserError(f"{name} would run {error.name}, which no checkpoint needs: it was not read.") from error
    except Exception as error:  # a damaged file can raise nearly any exception
        reason = (str(error) or type(error).__name__).splitlines()[0][:REASON_LENGTH]
        raise UserError(
            f"{name} is not a valid checkpoint ({reason}). It may have been truncated or damaged while it was written "
            "or copied: fetch it again, or use another checkpoint of its folder (in training, with --restore-file)."
        ) from error
