"""Converts checkpoints of NVIDIA's GNMT v2 for PyTorch to model folders, and model folders to such checkpoints.

    gnmt convert nvidia.pt MODEL
    gnmt convert MODEL nvidia.pt

The type of the input determines the direction. Reading never executes code in a file. The optimizer's state is not
converted; to continue training, convert the model folder to a checkpoint with `gnmt import`. Tokenization needs the
extra `nvidia` (Moses, subword-nmt).
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Optional, Tuple

from gnmt.checkpoints import nvidia_checkpoint
from gnmt.checkpoints.model_card import model_card
from gnmt.checkpoints.model_folder import TokenizerFiles, is_model_folder, read_model_folder, write_model_folder
from gnmt.checkpoints.nvidia_checkpoint import NvidiaCheckpoint
from gnmt.checkpoints.nvidia_conversion import from_nvidia, to_nvidia
from gnmt.errors import UserError
from gnmt.files.folders import complete_folder
from gnmt.files.json_objects import read_object
from gnmt.files.outputs import atomic_outputs
from gnmt.precision import PRECISIONS
from gnmt.tokenizers.subword_codes import SubwordCodes, parse_codes, read_codes
from gnmt.translator import Translator

TOKENIZER = "moses_subword_nmt"
SEPARATOR = "@@"  # default of subword-nmt


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of the command."""
    parser.add_argument("input", type=Path, help="checkpoint of NVIDIA's GNMT v2, or model folder")
    parser.add_argument("output", type=Path, help="model folder or checkpoint to write")
    parser.add_argument(
        "--precision", choices=PRECISIONS, default="fp32", help="precision of the weights in a model folder"
    )
    parser.add_argument(
        "--bpe-codes", type=Path, metavar="FILE", help="codes of subword-nmt, for a model with another tokenizer"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing model folder or checkpoint")


def run(arguments: argparse.Namespace) -> None:
    """Runs the command."""
    if arguments.input.is_dir():
        write_nvidia_checkpoint(arguments.input, arguments.output, arguments.bpe_codes, arguments.overwrite)
    else:
        write_folder(arguments.input, arguments.output, arguments.precision, arguments.overwrite)
    print(f"{arguments.output}: converted from {arguments.input}")


def write_folder(checkpoint: Path, folder: Path, precision: str = "fp32", overwrite: bool = False) -> None:
    """Writes a model folder from NVIDIA's checkpoint; the folder is loaded as a test before it gets its name.

    Args:
        checkpoint: checkpoint of NVIDIA's GNMT v2.
        folder: folder to write.
        precision: precision of the stored weights.
        overwrite: replace an existing model folder.

    Raises:
        UserError: if the checkpoint is missing, damaged or of another type, or `folder` exists and may not be replaced.
    """
    contents = nvidia_checkpoint.read(checkpoint)
    trained = from_nvidia(contents, checkpoint, precision)
    opened = complete_folder(folder, replaces=is_model_folder, overwrite=overwrite)
    with opened as new_folder, tempfile.TemporaryDirectory() as temporary:
        files = _tokenizer_files(contents, Path(temporary))
        card = model_card(trained, TOKENIZER, None)
        write_model_folder(
            new_folder, trained.network, trained.config, trained.generation, trained.source_vocabulary,
            trained.target_vocabulary, files, card,
        )  # fmt: skip
        Translator.from_pretrained(new_folder)


def write_nvidia_checkpoint(folder: Path, output: Path, codes: Optional[Path] = None, overwrite: bool = False) -> None:
    """Writes a checkpoint for NVIDIA's translate.py from a model folder.

    Args:
        folder: model folder.
        output: file to write.
        codes: file of `subword-nmt learn-bpe`; None means the codes in the folder.
        overwrite: replace an existing output.

    Raises:
        UserError: if NVIDIA's network cannot represent the model, there are no codes, or `output` exists.
    """
    with atomic_outputs([output], inputs=[codes] if codes else [], overwrite=overwrite) as (file,):
        model = read_model_folder(folder)
        merges, separator = (read_codes(codes), SEPARATOR) if codes else _codes_of(folder)
        nvidia_checkpoint.write(to_nvidia(model, merges, separator, folder), file)


def _tokenizer_files(contents: NvidiaCheckpoint, folder: Path) -> TokenizerFiles:
    paths = []
    for side, language in zip(("source", "target"), contents.languages):
        paths.append(folder / f"{side}.json")
        settings = {"language": language, "separator": contents.separator, "codes": contents.codes.lines()}
        paths[-1].write_text(json.dumps(settings, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")
    return TokenizerFiles(TOKENIZER, *paths)


def _codes_of(folder: Path) -> Tuple[SubwordCodes, str]:
    description = read_object(folder / "tokenizer.json")
    if description.get("type") != TOKENIZER:
        raise UserError(
            f"{folder} has a tokenizer of type {description.get('type')}: name the codes of its subwords with --bpe-codes."
        )
    settings = read_object(folder / description["target"])
    return parse_codes(settings["codes"], folder), settings["separator"]
