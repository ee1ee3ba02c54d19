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
from typing import Any, BinaryIO, Dict, Iterator, NamedTuple, Tuple

import torch
from torch import Tensor

from fairseq_gnmt.data.parallel_text import check_files
from fairseq_gnmt.errors import UserError
from fairseq_gnmt.interop.nvidia_vocabulary import UNKNOWN
from fairseq_gnmt.interop.subword_codes import SubwordCodes, ranked

WRAPPED = "module."  # before every name where torch's DistributedDataParallel was saved


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
    config, tokenizer, bpe = ("model_config",), ("tokenizer",), ("tokenizer", "bpe")
    weights = part(stored, path, "state_dict")
    return NvidiaCheckpoint(
        weights={name.removeprefix(WRAPPED): value for name, value in weights.items()},
        hidden_size=part(stored, path, *config, "hidden_size"),
        layers=part(stored, path, *config, "num_layers"),
        dropout=part(stored, path, *config, "dropout"),
        shared_embeddings=part(stored, path, *config, "share_embedding"),
        vocabulary=part(stored, path, *tokenizer, "vocab_size"),
        idx2tok=part(stored, path, *tokenizer, "idx2tok"),
        codes=ranked(part(stored, path, *bpe, "bpe_codes"), part(stored, path, *bpe, "version")),
        separator=part(stored, path, *tokenizer, "separator"),
        languages=(part(stored, path, *tokenizer, "lang", "src"), part(stored, path, *tokenizer, "lang", "tgt")),
    )


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


def part(stored: Any, path: Path, *keys: str) -> Any:
    """stored[keys[0]][keys[1]]...; stored objects are looked into, too."""
    for count, key in enumerate(keys, start=1):
        inside = vars(stored) if isinstance(stored, StoredObject) else stored
        if not isinstance(inside, dict) or key not in inside:
            place = ", ".join(keys[:count])
            raise UserError(f"{path} has no {place}: name a checkpoint that NVIDIA's GNMT v2 for PyTorch has written.")
        stored = inside[key]
    return stored


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
