"""Conversion of fairseq-train checkpoints to models in memory; needs no fairseq."""

from pathlib import Path
from typing import Any, Dict, List, Mapping, NamedTuple, Optional

from torch import Tensor

from gnmt.checkpoints.model_config import GenerationConfig, ModelConfig
from gnmt.checkpoints.network_options import config_fields
from gnmt.checkpoints.training_state import read_training_state
from gnmt.errors import UserError
from gnmt.network.gnmt import GNMTNetwork
from gnmt.quantization.storage import INTEGERS, to_floats
from gnmt.tokenizers.vocabulary import Vocabulary

ARCHITECTURES = ("gnmt",)  # prefixes of this project's architectures


class TrainedModel(NamedTuple):
    """Network of a checkpoint with configuration and vocabularies, without tokenizer."""

    network: GNMTNetwork
    config: ModelConfig
    generation: GenerationConfig
    source_vocabulary: Vocabulary
    target_vocabulary: Vocabulary
    options: Mapping[str, Any]  # the configuration of fairseq-train, by section
    data: Optional[Path] = None  # folder of fairseq-preprocess


def read_checkpoint(path: Path, data: Optional[Path] = None) -> TrainedModel:
    """Reads a checkpoint and the dictionaries of its training data.

    Args:
        path: checkpoint of fairseq-train with an architecture of this project; may be stored in int8.
        data: folder of fairseq-preprocess; None means the folder named in the checkpoint.

    Raises:
        UserError: if the checkpoint or a dictionary is missing or damaged, or they do not match.
    """
    state = read_training_state(path)
    options = state.get("cfg") or {}
    model, task = options.get("model") or {}, options.get("task") or {}
    if not str(model.get("_name", "")).startswith(ARCHITECTURES):
        raise UserError(f"{path} has the architecture {model.get('_name')!r}, but only GNMT models can be exported.")
    folder = data if data is not None else Path(str(task.get("data", "")).split(":")[0])
    languages: Optional[List[Any]] = [task.get("source_lang"), task.get("target_lang")]
    if not all(isinstance(language, str) for language in languages or []):
        languages = languages_of_data(folder)
    if languages is None:
        raise UserError(
            f"{path} does not name its languages, and {folder} has no data that names them: "
            "pass the folder of the data with --data."
        )
    task = {**task, "source_lang": languages[0], "target_lang": languages[1]}
    source, target = (Vocabulary.from_dictionary(folder / f"dict.{language}.txt") for language in languages)
    weights: Dict[str, Tensor] = dict(state["model"])
    is_int8 = any(name.endswith(INTEGERS) for name in weights)
    to_floats(weights)
    config = _model_config(model, task, len(source), len(target), weights, "int8" if is_int8 else "fp32")
    network = GNMTNetwork(config.network)
    _load(network, weights, path, folder)
    network = network.prepare_for_inference()
    return TrainedModel(network, config, _generation_config(task), source, target, options, folder)


def languages_of_data(folder: Path) -> Optional[List[str]]:
    """Returns the languages in a folder's file names, such as train.en-de.en.bin; None if there are none."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        parts = path.name.split(".")
        if len(parts) >= 3 and len(parts[1].split("-")) == 2:
            return parts[1].split("-")
    return None


def _model_config(
    model: Mapping[str, Any],
    task: Mapping[str, Any],
    source: int,
    target: int,
    weights: Mapping[str, Tensor],
    precision: str,
) -> ModelConfig:
    clip = weights.get("encoder.clip.range")
    return ModelConfig(
        **config_fields(model),
        source_vocab_size=source,
        target_vocab_size=target,
        source_language=task["source_lang"],
        target_language=task["target_lang"],
        activation_clip=None if clip is None else float(clip),
        source_bos=bool(task.get("nvidia_conventions", False)),
        precision=precision,
    )


def _generation_config(task: Mapping[str, Any]) -> GenerationConfig:
    names = ("length_norm_factor", "length_norm_const", "coverage_penalty")
    given: Dict[str, Any] = {name: float(task[name]) for name in names if task.get(name) is not None}
    return GenerationConfig(**given)


def _load(network: GNMTNetwork, weights: Mapping[str, Tensor], path: Path, data: Path) -> None:
    expected = network.state_dict()
    for name, value in expected.items():
        if name not in weights:
            raise UserError(f"{path} lacks the weight {name}: it is damaged, or of another version.")
        if weights[name].shape != value.shape:
            raise UserError(
                f"{path} has {name} of {tuple(weights[name].shape)}, but its options and the dictionaries in {data} "
                f"need {tuple(value.shape)}: name the data that it was trained on with --data."
            )
    if unknown := sorted(weights.keys() - expected.keys()):
        raise UserError(f"{path} has the weight {unknown[0]}, which its network does not have.")
    network.load_state_dict({name: weights[name].float() for name in expected})
