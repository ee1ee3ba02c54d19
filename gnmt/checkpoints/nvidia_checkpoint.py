"""Files of NVIDIA's GNMT v2 checkpoints.

They are pickles that contain an object of subword-nmt, of which only the attributes are read.
"""

import io
import re
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Dict, NamedTuple, Tuple, Type, Union

import torch
from torch import Tensor

from gnmt.checkpoints import reader
from gnmt.checkpoints.nvidia_vocabulary import UNKNOWN
from gnmt.checkpoints.pickles import Global, Globals
from gnmt.checkpoints.reader import TRAINING, set_attributes
from gnmt.checkpoints.stored_weights import check_weights
from gnmt.errors import UserError
from gnmt.tokenizers.subword_codes import SubwordCodes, ranked

WANTED = "name a checkpoint that NVIDIA's GNMT v2 for PyTorch has written."
EMBEDDING = "encoder.embedder.weight"
WRAPPED = "module."  # prefix of all names in checkpoints of torch's DistributedDataParallel

Kind = Union[Type, Tuple[Type, ...]]


class NvidiaCheckpoint(NamedTuple):
    """Contents of a checkpoint of NVIDIA's GNMT v2."""

    weights: Dict[str, Tensor]  # keyed by NVIDIA's names, float32 or float16
    hidden_size: int
    layers: int  # number of encoder layers and of decoder layers
    dropout: float
    shared_embeddings: bool
    vocabulary: int  # number of entries
    idx2tok: Dict[int, str]
    codes: SubwordCodes
    separator: str
    languages: Tuple[str, str]  # source and target


class StoredObject:
    """Attributes of a pickled object, without its class."""


class StoredDefault:
    """Placeholder for partial(int, UNKNOWN), the default of NVIDIA's table of token ids."""

    def __init__(self, function: Any):
        pass


def ignore_arguments(default: StoredDefault, state: Any) -> None:
    """Ignores the arguments of a partial function.

    Args:
        default: placeholder of the function.
        state: arguments in the pickle.
    """


def stored_table(default: Any) -> dict:
    """Returns a dict in place of the defaultdict of NVIDIA's table."""
    return {}


NVIDIA = TRAINING | Globals(
    constants={"builtins.long": Global("builtins.int")},  # the name of int in pickles of protocol 2
    functions={"functools.partial": StoredDefault, "collections.defaultdict": stored_table},
    classes={"subword_nmt.apply_bpe.BPE": StoredObject},
    states={StoredObject: set_attributes, StoredDefault: ignore_arguments},
)


def read(path: Path) -> NvidiaCheckpoint:
    """Returns the contents of a checkpoint.

    Raises:
        UserError: if the file is damaged, is not a checkpoint of NVIDIA's GNMT v2, or contains more than data.
    """
    stored = reader.read(path, NVIDIA)

    def part(kind: Kind, *keys: str) -> Any:
        return stored_part(stored, path, kind, *keys)

    weights = part(dict, "state_dict")
    codes, version = part(dict, "tokenizer", "bpe", "bpe_codes"), part(tuple, "tokenizer", "bpe", "version")
    check_merges(codes, version, path)
    checkpoint = NvidiaCheckpoint(
        weights={str(name).removeprefix(WRAPPED): value for name, value in weights.items()},
        hidden_size=part(int, "model_config", "hidden_size"),
        layers=part(int, "model_config", "num_layers"),
        dropout=part((int, float), "model_config", "dropout"),
        shared_embeddings=part(bool, "model_config", "share_embedding"),
        vocabulary=part(int, "tokenizer", "vocab_size"),
        idx2tok=part(dict, "tokenizer", "idx2tok"),
        codes=ranked(codes, version),
        separator=part(str, "tokenizer", "separator"),
        languages=(part(str, "tokenizer", "lang", "src"), part(str, "tokenizer", "lang", "tgt")),
    )
    check_contents(checkpoint, path)
    check_sizes(checkpoint, path)
    return checkpoint


def stored_part(stored: Any, path: Path, kind: Kind, *keys: str) -> Any:
    """Returns stored[keys[0]][keys[1]]..., where attributes of stored objects count as keys.

    Args:
        stored: contents of the checkpoint.
        path: file, for errors.
        kind: required type.
        keys: keys, outermost first.

    Raises:
        UserError: if the part is missing or of another type.
    """
    for count, key in enumerate(keys, start=1):
        entries = vars(stored) if isinstance(stored, StoredObject) else stored
        if not isinstance(entries, dict) or key not in entries:
            raise UserError(f"{path} has no {', '.join(keys[:count])}: {WANTED}")
        stored = entries[key]
    if not isinstance(stored, kind) or (type(stored) is bool and kind is not bool):
        raise UserError(f"{path} has a {type(stored).__name__} as its {', '.join(keys)}: {WANTED}")
    return stored


def check_merges(codes: dict, version: tuple, path: Path) -> None:
    """Checks a table of merges and its version.

    Args:
        codes: rank of each pair.
        version: version of the merges.
        path: file, for errors.

    Raises:
        UserError: if a file of subword-nmt cannot contain them.
    """
    pairs = all(type(merge) is tuple and len(merge) == 2 and all(map(is_piece, merge)) for merge in codes)
    if not pairs or not all(type(rank) is int for rank in codes.values()):
        raise UserError(f"{path} has invalid merges: {WANTED}")
    if not version or not all(type(number) is int for number in version):
        raise UserError(f"{path} has {version!r:.50} as the version of its merges: {WANTED}")


def is_text(value: Any) -> bool:
    """Returns True for a string that fits on a line of a UTF-8 file."""
    return isinstance(value, str) and not re.search("[\r\n\ud800-\udfff]", value)


def is_piece(value: Any) -> bool:
    """Returns True for a text without spaces."""
    return is_text(value) and value.split() == [value]


def check_contents(checkpoint: NvidiaCheckpoint, path: Path) -> None:
    """Checks texts, including the names of languages, which become file names and options of commands.

    Args:
        checkpoint: contents of the checkpoint.
        path: file, for errors.

    Raises:
        UserError: if they contain characters that are not plain text.
    """
    contents = {
        "weights": all(isinstance(value, Tensor) for value in checkpoint.weights.values()),
        "words": all(map(is_text, checkpoint.idx2tok.values())),
        "separator": is_piece(checkpoint.separator),
        "languages": all(map(re.compile(r"\w+").fullmatch, checkpoint.languages)),
    }
    for name, plain in contents.items():
        if not plain:
            raise UserError(f"{path} has invalid {name}: {WANTED}")


def check_sizes(checkpoint: NvidiaCheckpoint, path: Path) -> None:
    """Checks the sizes of the configuration against the weights.

    Args:
        checkpoint: contents of the checkpoint.
        path: file, for errors.

    Raises:
        UserError: if the configuration is larger than the weights, or weights are not tensors of numbers.
    """
    check_weights(checkpoint.weights, path)
    embedding = checkpoint.weights.get(EMBEDDING)
    if embedding is None or embedding.dim() != 2:
        raise UserError(f"{path} has no matrix as its {EMBEDDING}: {WANTED}")
    layers = {match[1] for match in map(re.compile(r"encoder\.rnn_layers\.(\d+)\.").match, checkpoint.weights) if match}
    configured = (checkpoint.vocabulary, checkpoint.hidden_size)
    if tuple(embedding.shape) != configured:
        raise UserError(
            f"{path} has {EMBEDDING} of {tuple(embedding.shape)}, but its model_config requires {configured}."
        )
    if checkpoint.layers > len(layers):
        raise UserError(
            f"{path} has {checkpoint.layers} as its model_config, num_layers, but weights of {len(layers)}."
        )


def write(checkpoint: NvidiaCheckpoint, file: BinaryIO) -> None:
    """Writes a checkpoint for NVIDIA's translate.py.

    Args:
        checkpoint: contents of the checkpoint.
        file: open for writing.

    Raises:
        UserError: if subword-nmt is not installed: the checkpoint contains an object of it.
    """
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
    """Returns the BPE object of subword-nmt for the codes and separator.

    Raises:
        UserError: if subword-nmt is not installed.
    """
    try:
        from subword_nmt.apply_bpe import BPE
    except ImportError as error:
        raise UserError("NVIDIA's checkpoints contain an object of subword-nmt: pip install subword-nmt.") from error
    return BPE(io.StringIO(codes.text()), separator=separator)
