"""Reading of fairseq's checkpoints as data only.

fairseq calls torch.load and relies on its default, which rejects fairseq's own classes. An environment variable changes
the default so that files can execute code. fairseq also unpacks archives to any path in them, deletes them, and
resolves references in a checkpoint's configuration. This module replaces these functions by functions that use
`gnmt.checkpoints`. torch's list of allowed classes is not changed.
"""

import copy
import dataclasses
import io
import os
from collections import OrderedDict
from pathlib import Path
from typing import Any, Dict, Iterable, Optional

import torch
from fairseq import checkpoint_utils, file_utils
from fairseq.dataclass.utils import merge_with_parent, overwrite_args_by_name
from fairseq.distributed import utils as distributed_utils
from fairseq.distributed.utils import _TensorPlaceholder
from fairseq.file_io import PathManager
from fairseq.models import ARCH_MODEL_REGISTRY, MODEL_DATACLASS_REGISTRY, MODEL_REGISTRY
from fairseq.tasks import TASK_DATACLASS_REGISTRY
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gnmt.checkpoints.pickles import Globals, InvalidPickle
from gnmt.checkpoints.reader import TRAINING, read_stream, set_attributes
from gnmt.checkpoints.stored_configuration import URL, check_no_urls
from gnmt.checkpoints.stored_weights import check_weights
from gnmt.checkpoints.tensors import STORAGE_TYPES
from gnmt.checkpoints.training_parts import WANTED
from gnmt.checkpoints.training_state import architecture, read_training_state
from gnmt.errors import UserError

ARCHITECTURES = ("gnmt", "lstm", "transformer")  # prefixes of the architectures that are read
ARCHITECTURE_KEYS = {"_name", "arch"}
DEFAULT_RESTORE_FILE = "checkpoint_last.pt"  # in --save-dir; the only restore file that may be missing


def read_checkpoints_as_data() -> None:
    """Replaces fairseq's functions that read pickles or unpack archives."""
    checkpoint_utils.load_checkpoint_to_cpu = load_checkpoint_to_cpu
    checkpoint_utils.load_ema_from_checkpoint = load_ema_from_checkpoint
    distributed_utils._broadcast_object_slow = broadcast_as_data
    file_utils.load_archive_file = model_folder
    file_utils.cached_path = local_file


def check_restore_file(path: str) -> None:
    """Checks that a --restore-file exists; fairseq would silently train from scratch.

    Raises:
        UserError: if it does not exist.
    """
    if path != DEFAULT_RESTORE_FILE and not PathManager.exists(path):
        raise UserError(
            f"--restore-file {path} does not exist: name a checkpoint with its folder, or leave the option out."
        )


def restored_file(save_dir: str, restore_file: str, finetune_from_model: Optional[str]) -> Path:
    """Returns the file from which fairseq-train reads its initial parameters; it may not exist.

    Args:
        save_dir: --save-dir.
        restore_file: --restore-file.
        finetune_from_model: --finetune-from-model, or None.
    """
    if restore_file != DEFAULT_RESTORE_FILE:
        return Path(restore_file)
    checkpoint = Path(save_dir, restore_file)
    return checkpoint if checkpoint.exists() or not finetune_from_model else Path(finetune_from_model)


def load_checkpoint_to_cpu(
    path: str, arg_overrides: Optional[Dict[str, Any]] = None, load_on_all_ranks: bool = False
) -> Dict[str, Any]:
    """Reads a checkpoint and updates its configuration; replaces fairseq's function of the same name.

    Args:
        path: checkpoint.
        arg_overrides: options that replace stored options.
        load_on_all_ranks: each process fetches its own copy of a file on remote storage.

    Raises:
        UserError: if the file is not a checkpoint of fairseq-train; the message names the file and the part.
    """
    state = read_training_state(local_copy(path, load_on_all_ranks))
    check_architecture(architecture(state), path)
    overrides = arg_overrides or {}
    for name in ARCHITECTURE_KEYS & overrides.keys():
        raise UserError(f"--model-overrides has {name!r}: the architecture of a checkpoint cannot be changed.")
    state["model"] = OrderedDict(state["model"])
    state["model"].source = path  # for error messages of the model
    if state.get("args") is not None:
        check_no_urls({"task": vars(state["args"])}, overrides, path)
        vars(state["args"]).update(overrides)
    if state.get("cfg") is not None:
        check_no_urls(state["cfg"], overrides, path)
        state["cfg"] = OmegaConf.create(state["cfg"], flags={"allow_objects": True})
        add_new_options(state["cfg"], overrides)
        overwrite_args_by_name(state["cfg"], overrides)
        check_options(state["cfg"], path)
    return checkpoint_utils._upgrade_state_dict(state)


def add_new_options(config: DictConfig, names: Iterable[str]) -> None:
    """Adds options of the task that are missing in an older checkpoint: fairseq overrides only existing options.

    Args:
        config: configuration of the task, changed in place.
        names: names of the options.
    """
    task = config.get("task")
    config_class = TASK_DATACLASS_REGISTRY.get(task.get("_name")) if isinstance(task, DictConfig) else None
    for option in dataclasses.fields(config_class) if config_class else ():
        if option.name in names and option.name not in task:
            task[option.name] = None


def check_options(config: DictConfig, path: str) -> None:
    """Checks the options that are stored in a checkpoint.

    Args:
        config: stored configuration.
        path: file, for errors.

    Raises:
        UserError: for an unknown architecture, and for options that a section does not accept.
    """
    for section, options in (("model", MODEL_DATACLASS_REGISTRY), ("task", TASK_DATACLASS_REGISTRY)):
        section_options = config[section]
        if not isinstance(section_options, DictConfig):  # older checkpoints store options as a namespace
            continue
        name = OmegaConf.to_container(section_options).get("_name")
        if not isinstance(name, str) or name == MISSING:
            raise UserError(f"{path} has {name!r:.50} as its cfg, {section}, _name: {WANTED}")
        if section == "model" and name not in ARCH_MODEL_REGISTRY and name not in MODEL_REGISTRY:
            raise UserError(
                f"{path} is of the architecture {name:.50}, which is unknown: pass the --user-dir that defines it."
            )
        try:
            if name in options:
                merge_with_parent(options[name](), copy.deepcopy(section_options), remove_missing=True)
        except (OmegaConfBaseException, TypeError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(
                f"{path}, or what overrides its options, has a wrong value in its cfg, {section}: {reason}"
            ) from error


def check_architecture(name: str, path: str) -> None:
    """Checks that an architecture is for text: others may read further files.

    Args:
        name: name of the architecture.
        path: file, for errors.

    Raises:
        UserError: for another architecture of fairseq.
    """
    if name in (MODEL_REGISTRY.keys() | ARCH_MODEL_REGISTRY.keys()) and not name.startswith(ARCHITECTURES):
        raise UserError(
            f"{path} has the architecture {name!r}, but must have one of this plugin, or an LSTM or Transformer of fairseq."
        )


def local_copy(path: str, load_on_all_ranks: bool) -> str:
    """Returns the local file of a checkpoint; a file on remote storage is fetched again, because it may have changed.

    Args:
        path: local or remote file.
        load_on_all_ranks: each process fetches its own copy.
    """
    local_path = PathManager.get_local_path(path)
    if local_path != path and PathManager.path_requires_pathmanager(path):
        Path(local_path).unlink(missing_ok=True)
        if load_on_all_ranks:
            torch.distributed.barrier()
        local_path = PathManager.get_local_path(path)
    return local_path


def load_ema_from_checkpoint(fpath: str) -> Dict[str, Any]:
    """Returns a checkpoint with the exponential moving average of its weights as the model.

    Replaces fairseq's function of the same name.

    Raises:
        UserError: if the checkpoint has no moving average.
    """
    state = read_training_state(PathManager.get_local_path(fpath))
    average = state.get("extra_state", {}).get("ema")
    if not isinstance(average, dict) or not average:
        raise UserError(
            f"{fpath} has no moving average of its weights: name a checkpoint that was trained with --store-ema."
        )
    check_weights(average, fpath)
    state["model"] = OrderedDict(
        (name, value.float() if value.dtype == torch.float16 else value.clone()) for name, value in average.items()
    )
    return state


def model_folder(name: str) -> str:
    """Returns the folder of a model; replaces fairseq's load_archive_file, and neither fetches nor unpacks anything.

    Raises:
        UserError: if `name` is not a folder.
    """
    if os.path.isdir(name):
        return name
    if os.path.exists(name):
        raise UserError(f"{name} is not a folder: unpack the archive, and pass the resulting folder.")
    raise UserError(f"{name} does not exist: name the folder of a model on this machine.")


def local_file(name: str, cache_dir: Optional[str] = None) -> str:
    """Returns the name of a local file; replaces fairseq's cached_path, and fetches nothing.

    Args:
        name: file, possibly the default of a tokenizer that only the checkpoint names.
        cache_dir: unused.

    Raises:
        UserError: for a URL.
    """
    if URL.match(name):
        raise UserError(f"{name} is on the network, and nothing is fetched from there: fetch it, and give its file.")
    if not os.path.exists(name):
        raise OSError(f"file {name} not found")  # fairseq's message
    return name


# -- between the processes of a training run


def size_of(lengths: tuple) -> torch.Size:
    """Returns torch.Size of a tuple of integers."""
    if type(lengths) is not tuple or not all(type(length) is int and length >= 0 for length in lengths):
        raise InvalidPickle("it has a size that is not a tuple of whole numbers")
    return torch.Size(lengths)


def device_of(kind: str, index: Optional[int] = None) -> torch.device:
    """Returns a torch.device.

    Args:
        kind: type of the device, such as "cuda".
        index: number of the device, or None.
    """
    return torch.device(kind) if index is None else torch.device(kind, index)


PLACEHOLDER = "fairseq.distributed.utils._TensorPlaceholder"
BROADCAST = TRAINING | Globals(  # fairseq also sends devices and sizes of the tensors
    constants={str(storage.dtype): storage.dtype for storage in STORAGE_TYPES.values()},
    functions={"torch.Size": size_of, "torch.device": device_of},
    classes={PLACEHOLDER: _TensorPlaceholder},
    states={_TensorPlaceholder: set_attributes},
)


def broadcast_as_data(value: Any, src_rank: int, group: Any, dist_device: torch.device) -> Any:
    """Sends an object to all processes, with configurations as plain containers.

    Replaces fairseq's _broadcast_object_slow.

    Args:
        value: object of the source process.
        src_rank: rank of the source process.
        group: process group.
        dist_device: device of the communication.
    """
    if distributed_utils.get_rank(group) == src_rank:
        file = io.BytesIO()
        torch.save(plain(value), file)
        content = torch.frombuffer(file.getbuffer(), dtype=torch.uint8).to(dist_device)
        distributed_utils.broadcast(torch.tensor([len(content)], device=dist_device), src=src_rank, group=group)
        distributed_utils.broadcast(content, src=src_rank, group=group)
        return value
    length = torch.zeros(1, dtype=torch.int64, device=dist_device)
    distributed_utils.broadcast(length, src=src_rank, group=group)
    content = torch.empty(int(length), dtype=torch.uint8, device=dist_device)
    distributed_utils.broadcast(content, src=src_rank, group=group)
    return read_stream(io.BytesIO(content.cpu().numpy()), f"The state that process {src_rank} sends", BROADCAST)


def plain(value: Any) -> Any:
    """Returns a checkpoint with its configurations as plain dictionaries."""
    if not isinstance(value, dict):
        return value
    return {
        name: OmegaConf.to_container(part, enum_to_str=True) if OmegaConf.is_config(part) else part
        for name, part in value.items()
    }
