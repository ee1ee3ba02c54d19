"""Average of the parameters of several checkpoints, which is usually better than the last checkpoint."""

import re
from pathlib import Path
from typing import Dict, List, Sequence

import torch
from torch import Tensor

from gnmt.checkpoints.training_state import read_training_state
from gnmt.errors import UserError
from gnmt.files.outputs import atomic_outputs
from gnmt.quantization.storage import to_floats

SUMMED_IN = torch.float64  # so that the average of equal checkpoints equals each of them
CLIP_RANGE = ".clip.range"  # of quantisable training; taken from the last checkpoint, because it follows a schedule
EPOCH_CHECKPOINT = re.compile(r"checkpoint(\d+)\.pt")


def average_checkpoints(inputs: Sequence[Path], output: Path, overwrite: bool = False) -> None:
    """Writes a checkpoint with the average parameters of `inputs`.

    Configuration, progress and the clipping range, which follows a schedule, are taken from the last checkpoint. The
    optimizer's state is left out.

    Args:
        inputs: checkpoints of one training run, oldest first.
        output: file to write; an existing file is kept after an error.
        overwrite: replace an existing output.

    Raises:
        UserError: if there are no inputs, they are of different models, or output exists (unless `overwrite`), is an
            input, or cannot be written.
    """
    if not inputs:
        raise UserError("There are no checkpoints to average: name checkpoints, or a --save-dir with checkpoints.")
    with atomic_outputs([output], inputs=inputs, overwrite=overwrite) as (file,):
        torch.save(mean_of(inputs), file)


def mean_of(inputs: Sequence[Path]) -> dict:
    """Returns the content of the checkpoint that `average_checkpoints` writes."""
    sums: Dict[str, Tensor] = {}
    for path in inputs:
        checkpoint = read_training_state(path)
        model = checkpoint["model"]
        to_floats(model)
        if sums and {name: value.shape for name, value in sums.items()} != {n: v.shape for n, v in model.items()}:
            raise UserError(f"{path} and {inputs[0]} are of different models: average checkpoints of one training run.")
        for name, value in model.items():
            sums[name] = sums.get(name, 0) + value.to(SUMMED_IN)
    means: Dict[int, Tensor] = {}  # by memory address, so that shared embeddings stay shared
    checkpoint["model"] = {
        name: value
        if name.endswith(CLIP_RANGE)
        else means.setdefault(value.data_ptr(), (sums[name] / len(inputs)).to(value.dtype))
        for name, value in model.items()
    }
    checkpoint["last_optimizer_state"] = None  # belongs to the last parameters, not to the mean
    return checkpoint


def epoch_checkpoints(save_dir: Path) -> List[Path]:
    """Returns the checkpoints of whole epochs in a --save-dir of fairseq-train, oldest first."""
    epochs = {int(match[1]): path for path in save_dir.iterdir() if (match := EPOCH_CHECKPOINT.fullmatch(path.name))}
    return [epochs[epoch] for epoch in sorted(epochs)]


def last_checkpoints(save_dir: Path, count: int) -> List[Path]:
    """Returns the newest checkpoints of whole epochs, oldest first.

    Args:
        save_dir: --save-dir of fairseq-train.
        count: number of checkpoints.

    Raises:
        UserError: if there are fewer.
    """
    epochs = epoch_checkpoints(save_dir)
    if len(epochs) < count:
        raise UserError(f"{save_dir} has {len(epochs)} checkpoints of whole epochs, but {count} are to be averaged.")
    return epochs[-count:]
