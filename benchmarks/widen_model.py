"""Writes a model with a larger hidden size that computes the same translations.

    python benchmarks/widen_model.py MODEL LARGER --hidden-size 1024

The added units have zero weights, so their states are 0. The translations have the lengths of a trained model, and a step
costs as much as in a network trained with this hidden size. It is for measurements only.
"""

import argparse
import dataclasses
import shutil
import sys
from pathlib import Path
from typing import List

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the checkout, installed or not

import torch  # noqa: E402
from torch import Tensor  # noqa: E402

from gnmt.checkpoints.model_config import write_config  # noqa: E402
from gnmt.checkpoints.model_folder import (  # noqa: E402
    CARD, CONFIG, MODEL_TYPE, WEIGHTS, read_model_folder,
)  # fmt: skip
from gnmt.checkpoints.weights import write_weights  # noqa: E402
from gnmt.commands.process import run_command  # noqa: E402
from gnmt.errors import UserError  # noqa: E402
from gnmt.files.checksums import SUMS, write_folder_sums  # noqa: E402
from gnmt.files.folders import complete_folder  # noqa: E402
from gnmt.network.gnmt import GNMTNetwork  # noqa: E402


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, metavar="MODEL", help="model folder")
    parser.add_argument("output", type=Path, metavar="LARGER", help="model folder to write")
    parser.add_argument("--hidden-size", type=int, required=True, metavar="H", help="larger hidden size")
    return parser.parse_args()


def widen(value: Tensor, shape: List[int], old: int, new: int) -> Tensor:
    """Returns a parameter with zeros for the added hidden units.

    Args:
        value: parameter of the given network. A dimension that grows consists of blocks of `old` units, such as the
            gates of an LSTM or its concatenated inputs.
        shape: shape of the parameter in the larger network.
        old: hidden size of the given network.
        new: hidden size of the larger network.
    """
    for dimension, size in enumerate(shape):
        if size != value.shape[dimension]:
            blocks = value.unflatten(dimension, (-1, old))
            padding = [0, 0] * (blocks.dim() - dimension - 2) + [0, new - old]
            value = torch.nn.functional.pad(blocks, padding).flatten(dimension, dimension + 1)
    return value.contiguous()


def main() -> None:
    options = parse_options()
    model = read_model_folder(options.model)
    old, new = model.config.hidden_size, options.hidden_size
    if new <= old:
        raise UserError(f"--hidden-size is {new}, but must be larger than {old}, the hidden size of {options.model}.")
    config = dataclasses.replace(model.config, hidden_size=new, precision="fp32")
    network = GNMTNetwork(config.network)
    weights = model.network.state_dict()
    network.load_state_dict({
        name: widen(weights[name], list(value.shape), old, new) for name, value in network.state_dict().items()
    })  # fmt: skip
    with complete_folder(options.output, replaces=lambda path: False) as folder:
        for path in options.model.iterdir():
            if path.name not in (CONFIG, WEIGHTS, CARD, SUMS):
                shutil.copyfile(path, folder / path.name)
        write_config(folder / CONFIG, config, {"model_type": MODEL_TYPE})
        write_weights(folder / WEIGHTS, network, config.precision)
        write_folder_sums(folder)
    print(f"{options.output}: {options.model} with hidden size {new} instead of {old}, for measurements only")


if __name__ == "__main__":
    run_command(main)
