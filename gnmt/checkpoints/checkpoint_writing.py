"""Conversion of model folders to checkpoints for fairseq-train; needs no fairseq."""

import shutil
from pathlib import Path
from typing import Any, BinaryIO, Dict, List

import torch
from torch import Tensor

from gnmt.checkpoints.model_folder import Model
from gnmt.checkpoints.network_options import model_options
from gnmt.errors import UserError
from gnmt.files.json_objects import read_object
from gnmt.tokenizers.subword_codes import parse_codes
from gnmt.tokenizers.vocabulary import Vocabulary

CHECKPOINT = "checkpoint.pt"
# Names that `gnmt export` looks for.
TOKENIZER_FILES = {"sentencepiece": "subwords.model", "mixed_word_char": "mixed.json"}
CODES = "bpecodes"  # name that fairseq's from_pretrained looks for


def write_checkpoint(model: Model, data: Path, file: BinaryIO) -> None:
    """Writes a checkpoint as fairseq-train does before its first update, with weights in float32.

    Args:
        model: model of a model folder.
        data: folder of the dictionaries, which is stored in the checkpoint.
        file: open for writing.
    """
    options = {"model": model_options(model.config), "task": _task_options(model, data)}
    torch.save(initial_checkpoint(options, dict(model.network.state_dict()), model.config.source_bos), file)


def initial_checkpoint(options: Dict[str, Any], weights: Dict[str, Tensor], source_bos: bool) -> Dict[str, Any]:
    """Returns a checkpoint as fairseq-train writes it before its first update.

    Args:
        options: configuration of fairseq-train, by section.
        weights: weights of the network.
        source_bos: sources and decoding begin with BOS (NVIDIA).
    """
    history = {"criterion_name": "", "optimizer_name": "", "lr_scheduler_state": {}, "num_updates": 0}
    return {
        "args": None,
        "cfg": options,
        "model": weights,
        "criterion": None,
        "optimizer_history": [history],
        "task_state": {"nvidia_conventions": True} if source_bos else {},
        "extra_state": {"train_iterator": {"epoch": 1, "iterations_in_epoch": 0}},
        "last_optimizer_state": None,
    }


def dictionary_text(vocabulary: Vocabulary) -> str:
    """Returns a vocabulary as a dictionary of fairseq-preprocess.

    Raises:
        UserError: if the vocabulary contains a token twice.
    """
    if len(set(vocabulary.tokens)) < len(vocabulary):
        raise UserError("The vocabulary has a token twice, which a dictionary of fairseq cannot have.")
    return "".join(f"{word} 1\n" for word in vocabulary.words)


def copy_tokenizer(folder: Path, output: Path) -> None:
    """Copies the tokenizer files of a model folder to their usual names in fairseq.

    Args:
        folder: model folder.
        output: existing folder to copy to.
    """
    description = read_object(folder / "tokenizer.json")
    names: List[Any] = [description.get(side) for side in ("source", "target")]
    if description["type"] == "moses_subword_nmt":
        codes = parse_codes(read_object(folder / names[0])["codes"], folder / names[0])
        (output / CODES).write_text(codes.text(), encoding="utf-8")
    elif description["type"] in TOKENIZER_FILES:
        copy = TOKENIZER_FILES[description["type"]]
        is_joint = names[0] == names[1]
        for side, name in zip(("source", "target"), names):
            shutil.copyfile(folder / name, output / (copy if is_joint else f"{side}.{copy}"))


def _task_options(model: Model, data: Path) -> Dict[str, Any]:
    generation = model.generation
    return {
        "_name": "gnmt_translation",
        "data": str(data),
        "source_lang": model.config.source_language,
        "target_lang": model.config.target_language,
        "nvidia_conventions": model.config.source_bos,
        "length_norm_factor": generation.length_norm_factor,
        "length_norm_const": generation.length_norm_const,
        "coverage_penalty": generation.coverage_penalty,
    }
