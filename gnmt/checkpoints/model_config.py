"""config.json and generation_config.json of a model folder, checked when they are read."""

import dataclasses
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping, Optional, Type, TypeVar, get_args

from gnmt.errors import UserError
from gnmt.files.json_objects import read_object
from gnmt.network.clipping import ClipSchedule
from gnmt.network.config import ATTENTION_QUERIES, DROPOUT, LAYERS, SIZES, NetworkConfig
from gnmt.precision import PRECISIONS
from gnmt.ranges import Range
from gnmt.tokenizers.vocabulary import PAD

MODEL_TYPE = "gnmt"
VOCABULARY_SIZES = Range(5, 1 << 24)
RANGES = {
    "hidden_size": SIZES,
    "encoder_layers": LAYERS,
    "decoder_layers": LAYERS,
    "source_vocab_size": VOCABULARY_SIZES,
    "target_vocab_size": VOCABULARY_SIZES,
    "dropout": DROPOUT,
}


@dataclass(frozen=True)
class ModelConfig:
    """Configuration of a model: sizes, options, languages and precision."""

    hidden_size: int
    encoder_layers: int
    decoder_layers: int
    source_vocab_size: int
    target_vocab_size: int
    source_language: str
    target_language: str
    share_embeddings: bool = True  # one embedding for source and target
    tie_output_layer: bool = False  # output projection shares the target embeddings
    attention_query: str = "current"  # position that queries the attention: current (NVIDIA) or previous (paper)
    activation_clip: Optional[float] = None  # range of cell states and layer outputs after quantisable training
    # Sources and decoding begin with BOS (NVIDIA); otherwise decoding begins with EOS (fairseq).
    source_bos: bool = False
    dropout: float = 0.0  # for further training
    precision: str = "fp32"  # precision of the stored weights, and default precision of decoding

    def __post_init__(self) -> None:
        _check_types(self)
        for name, accepted in RANGES.items():
            requirement = accepted.requirement(getattr(self, name))
            _require(self, name, requirement is None, requirement or "")
        _require(
            self, "attention_query", self.attention_query in ATTENTION_QUERIES, f"one of {', '.join(ATTENTION_QUERIES)}"
        )
        _require(self, "precision", self.precision in PRECISIONS, f"one of {', '.join(PRECISIONS)}")
        _require(self, "activation_clip", self.activation_clip is None or self.activation_clip > 0, "null or above 0")

    @property
    def network(self) -> NetworkConfig:
        """Configuration of the network."""
        limit = self.activation_clip
        return NetworkConfig(
            source_vocabulary_size=self.source_vocab_size,
            target_vocabulary_size=self.target_vocab_size,
            padding_index=PAD,
            hidden_size=self.hidden_size,
            encoder_layers=self.encoder_layers,
            decoder_layers=self.decoder_layers,
            dropout=self.dropout,
            share_embeddings=self.share_embeddings,
            tie_output=self.tie_output_layer,
            attention_query=self.attention_query,
            clip=None if limit is None else ClipSchedule(start=limit, end=limit, first=0, last=0),
        )


@dataclass(frozen=True)
class GenerationConfig:
    """Default search options of a model."""

    num_beams: int = 5
    length_norm_factor: float = 0.6
    length_norm_const: float = 5.0
    coverage_penalty: float = 0.1
    max_len_a: float = 0.0
    max_len_b: int = 200

    def __post_init__(self) -> None:
        _check_types(self)


Config = TypeVar("Config", ModelConfig, GenerationConfig)


def write_config(path: Path, config: Any, extra: Mapping[str, Any]) -> None:
    """Writes the fields of a configuration and further entries as a JSON object.

    Args:
        path: file to write.
        config: dataclass.
        extra: further entries.
    """
    content = {**extra, **dataclasses.asdict(config)}
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_config(path: Path, config_class: Type[Config]) -> Config:
    """Reads a configuration; unknown keys of later versions are ignored.

    Args:
        path: file to read.
        config_class: ModelConfig or GenerationConfig.

    Raises:
        UserError: if the file is missing, is not a JSON object, lacks a key, or has a value of a wrong type or range.
    """
    content = read_object(path)
    fields = dataclasses.fields(config_class)
    missing = [field.name for field in fields if field.default is dataclasses.MISSING and field.name not in content]
    if missing:
        raise UserError(f"{path} lacks {', '.join(missing)}: it is not a configuration that `gnmt export` wrote.")
    try:
        return config_class(**{field.name: content[field.name] for field in fields if field.name in content})
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def _check_types(config: Any) -> None:
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        types = get_args(field.type) or (field.type,)
        if float in types and type(value) is int:
            object.__setattr__(config, field.name, float(value))
            value = float(value)
        names = " or ".join("null" if kind is type(None) else kind.__name__ for kind in types)
        _require(config, field.name, type(value) in types, f"of type {names}")
        _require(config, field.name, not isinstance(value, float) or math.isfinite(value), "finite")


def _require(config: Any, name: str, holds: bool, requirement: str) -> None:
    if not holds:
        raise UserError(f"{name} is {getattr(config, name)!r}, but must be {requirement}.")
