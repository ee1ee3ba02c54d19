"""NVIDIA's GNMT v2 checkpoints as files.

They are pickles that hold an object of subword-nmt. They are read without running anything that is in them: objects
come back as their stored attributes, by stand-ins, and what is not on the list is refused.
"""
import argparse
import io
import re
from collections import defaultdict
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Dict, Iterator, NamedTuple, Tuple, Type, Union

import torch
from torch import Tensor

from fairseq_gnmt.errors import UserError
from fairseq_gnmt.interop.nvidia_vocabulary import UNKNOWN
from fairseq_gnmt.interop.subword_codes import SubwordCodes, ranked
from gnmt.files.lines import check_files

WANTED = "name a checkpoint that NVIDIA's GNMT v2 for PyTorch has written."
WRAPPED = "module."  # before every name where torch's DistributedDataParallel was saved

Kind = Union[Type, Tuple[Type, ...]]


class NvidiaCheckpoint(NamedTuple):
    weights: Dict[str, Tensor]  # by NVIDIA's names, float32 or float16
    hidden_size: int
    layers: int  # of the encoder, and of the decoder
    dropout: float
    shared_embeddings: bool
    vocabulary: int  # entries
    idx2tok: Dict[int, str]
    codes: SubwordCodes
    separator: str
    languages: Tuple[str, str]  # source and target


class StoredObject:
    """The attributes of an object that was pickled, without its class."""

    def __setstate__(self, state: Dict[str, Any]) -> None:
        self.__dict__.update(state)


class StoredDefault:
    """Stands in for partial(int, UNKNOWN), which NVIDIA's table of numbers calls for words that it does not have."""

    def __init__(self, function: type):
        pass

    def __setstate__(self, state: tuple) -> None:
        pass


def stored_table(default: StoredDefault) -> dict:
    """Stands in for the defaultdict of that table."""
    return {}


ALLOWED = [
    argparse.Namespace,  # NVIDIA's options, which are plain values
    int,
    (StoredObject, "subword_nmt.apply_bpe.BPE"),
    (StoredDefault, "functools.partial"),
    (stored_table, "collections.defaultdict"),
]


@contextmanager
def only_allowed_globals() -> Iterator[None]:
    """Within, torch.load makes nothing but tensors, plain containers and what is ALLOWED."""
    others = torch.serialization.get_safe_globals()
    torch.serialization.clear_safe_globals()
    torch.serialization.add_safe_globals(ALLOWED)
    try:
        yield
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(others)


def read(path: Path) -> NvidiaCheckpoint:
    """Raises UserError for a file that is damaged, that is no checkpoint of NVIDIA's, or that holds more than data."""
    stored = load(path)

    def part(kind: Kind, *keys: str) -> Any:
        return stored_part(stored, path, kind, *keys)

    checkpoint = NvidiaCheckpoint(
        weights={name.removeprefix(WRAPPED): value for name, value in part(dict, "state_dict").items()},
        hidden_size=part(int, "model_config", "hidden_size"),
        layers=part(int, "model_config", "num_layers"),
        dropout=part((int, float), "model_config", "dropout"),
        shared_embeddings=part(bool, "model_config", "share_embedding"),
        vocabulary=part(int, "tokenizer", "vocab_size"),
        idx2tok=part(dict, "tokenizer", "idx2tok"),
        codes=ranked(part(dict, "tokenizer", "bpe", "bpe_codes"), part(tuple, "tokenizer", "bpe", "version")),
        separator=part(str, "tokenizer", "separator"),
        languages=(part(str, "tokenizer", "lang", "src"), part(str, "tokenizer", "lang", "tgt")),
    )
    check_contents(checkpoint, path)
    return checkpoint


def load(path: Path) -> Any:
    check_files([path])
    try:
        with only_allowed_globals():
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged file
        if refused := re.search(r"GLOBAL ([\w.]+)", str(error)):
            raise UserError(
                f"{path} would run {refused[1]}, which a checkpoint of NVIDIA's GNMT has no use for: it was not read."
            ) from error
        text = str(error).rpartition("WeightsUnpickler error: ")[-1].strip() or type(error).__name__
        reason = text.splitlines()[0][:100]
        raise UserError(f"{path} is not a whole checkpoint ({reason}): fetch it again.") from error


def stored_part(stored: Any, path: Path, kind: Kind, *keys: str) -> Any:
    """stored[keys[0]][keys[1]]..., which must be of that kind; stored objects are looked into, too."""
    for count, key in enumerate(keys, start=1):
        inside = vars(stored) if isinstance(stored, StoredObject) else stored
        if not isinstance(inside, dict) or key not in inside:
            raise UserError(f"{path} has no {', '.join(keys[:count])}: {WANTED}")
        stored = inside[key]
    if not isinstance(stored, kind):
        raise UserError(f"{path} has a {type(stored).__name__} as its {', '.join(keys)}: {WANTED}")
    return stored


def check_contents(checkpoint: NvidiaCheckpoint, path: Path) -> None:
    """Names of languages become names of files and options of commands: they must be plain."""
    contents = {
        "weights": all(isinstance(value, Tensor) for value in checkpoint.weights.values()),
        "words": all(isinstance(word, str) for word in checkpoint.idx2tok.values()),
        "merges": all(isinstance(part, str) for merge in checkpoint.codes.merges for part in merge),
        "languages": all(map(re.compile(r"\w+").fullmatch, checkpoint.languages)),
    }
    for name, plain in contents.items():
        if not plain:
            raise UserError(f"{path} has something else than {name} as its {name}: {WANTED}")


def write(checkpoint: NvidiaCheckpoint, file: BinaryIO) -> None:
    """What NVIDIA's translate.py reads. Raises UserError without subword-nmt, whose object is stored."""
    words = checkpoint.idx2tok
    tok2idx = defaultdict(partial(int, UNKNOWN), {word: index for index, word in words.items()})
    source, target = checkpoint.languages
    stored = {
        "state_dict": checkpoint.weights,
        "model_config": {
            "hidden_size": checkpoint.hidden_size,
            "vocab_size": checkpoint.vocabulary,
            "num_layers": checkpoint.layers,
            "dropout": checkpoint.dropout,
            "batch_first": False,
            "share_embedding": checkpoint.shared_embeddings,
        },
        "tokenizer": {
            "lang": {"src": source, "tgt": target},
            "separator": checkpoint.separator,
            "vocab_size": checkpoint.vocabulary,
            "bpe": subword_nmt_object(checkpoint.codes, checkpoint.separator),
            "tok2idx": tok2idx,
            "idx2tok": words,
        },
    }
    torch.save(stored, file)


def subword_nmt_object(codes: SubwordCodes, separator: str) -> Any:
    try:
        from subword_nmt.apply_bpe import BPE
    except ImportError as error:
        raise UserError("NVIDIA's checkpoints hold an object of subword-nmt: pip install subword-nmt.") from error
    return BPE(io.StringIO(codes.text()), separator=separator)
