"""The mean of the parameters of several checkpoints, usually better than the last of them."""
from pathlib import Path
from typing import Dict, List, Sequence

import torch
from fairseq.checkpoint_utils import checkpoint_paths
from torch import Tensor

from gnmt.checkpoints.training_state import read_training_state
from gnmt.errors import UserError
from gnmt.files.outputs import atomic_outputs
from gnmt.quantization.storage import to_floats

SUMMED_IN = torch.float64  # the mean of equal checkpoints is then exactly theirs
CLIP_RANGE = ".clip.range"  # of quantisable training: the last one is the one that training has come to


def average_checkpoints(inputs: Sequence[Path], output: Path, overwrite: bool = False) -> None:
    """Writes a checkpoint with the mean parameters of `inputs` and all else but the optimizer's state of the last.

    So is the range of quantisable training: it is set by a schedule, not learnt.

    Raises UserError if there are no inputs, if they are of different models, or if output cannot be written, exists
    (unless `overwrite`) or is an input; whatever was there then stays.
    """
    if not inputs:
        raise UserError("There are no checkpoints to average: name some, or a --save-dir that has some.")
    with atomic_outputs([output], inputs=inputs, overwrite=overwrite) as (file,):
        torch.save(mean_of(inputs), file)


def mean_of(inputs: Sequence[Path]) -> dict:
    sums: Dict[str, Tensor] = {}
    for path in inputs:
        checkpoint = read_training_state(path)
        model = checkpoint["model"]
        to_floats(model)
        if sums and {name: value.shape for name, value in sums.items()} != {n: v.shape for n, v in model.items()}:
            raise UserError(f"{path} and {inputs[0]} are of different models: average checkpoints of one training.")
        for name, value in model.items():
            sums[name] = sums.get(name, 0) + value.to(SUMMED_IN)
    means: Dict[int, Tensor] = {}  # by address: shared embeddings stay shared, and are stored once
    checkpoint["model"] = {
        name: value
        if name.endswith(CLIP_RANGE)
        else means.setdefault(value.data_ptr(), (sums[name] / len(inputs)).to(value.dtype))
        for name, value in model.items()
    }
    checkpoint["last_optimizer_state"] = None  # belongs to the last parameters, not to their mean
    return checkpoint


def last_checkpoints(save_dir: Path, count: int) -> List[Path]:
    """The `count` newest checkpoints of whole epochs in a --save-dir of fairseq-train."""
    paths = [Path(path) for path in checkpoint_paths(str(save_dir), pattern=r"checkpoint(\d+)\.pt")]
    if len(paths) < count:
        raise UserError(f"{save_dir} has {len(paths)} checkpoints of whole epochs, but {count} are to be averaged.")
    return paths[:count][::-1]
