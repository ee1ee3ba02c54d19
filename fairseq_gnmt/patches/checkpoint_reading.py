"""Lets torch >= 2.6 read fairseq's checkpoints.

torch.load refuses classes that it does not know (weights_only=True), and fairseq 0.12 calls it without saying
otherwise: without this no checkpoint of a model with old-style options, of --eval-bleu, or of several processes
can be read again. Only plain containers of data are let in; nothing in the list runs code.
"""
import argparse
import collections
import typing
from pathlib import Path
from typing import Optional

import numpy as np
import torch
from fairseq.distributed.utils import _TensorPlaceholder
from fairseq.file_io import PathManager
from omegaconf import DictConfig, ListConfig
from omegaconf.base import ContainerMetadata, Metadata
from omegaconf.nodes import AnyNode

from gnmt.errors import UserError

try:
    from numpy._core import multiarray
except ImportError:  # numpy 1
    from numpy.core import multiarray


DEFAULT_RESTORE_FILE = "checkpoint_last.pt"  # of --save-dir, and the only one that may be missing


def check_restore_file(path: str) -> None:
    """Raises UserError for a --restore-file that is not there: fairseq would train from scratch into its --save-dir."""
    if path != DEFAULT_RESTORE_FILE and not PathManager.exists(path):
        raise UserError(f"--restore-file {path} does not exist: name a checkpoint with its folder, or leave the option out.")


def restored_file(save_dir: str, restore_file: str, finetune_from_model: Optional[str]) -> Path:
    """Where fairseq-train takes its first parameters from, if it is there."""
    if restore_file != DEFAULT_RESTORE_FILE:
        return Path(restore_file)
    last = Path(save_dir, restore_file)
    return last if last.exists() or not finetune_from_model else Path(finetune_from_model)


def allow_fairseq_checkpoints() -> None:
    numpy_types = {type(np.dtype(name)) for name in ("int32", "int64", "float32", "float64")}
    torch.serialization.add_safe_globals(
        [argparse.Namespace, DictConfig, ListConfig, ContainerMetadata, Metadata, AnyNode, _TensorPlaceholder]
        + [multiarray._reconstruct, multiarray.scalar, np.ndarray, np.dtype, *numpy_types]
        + [collections.defaultdict, collections.OrderedDict, typing.Any, list, dict, int]
    )
