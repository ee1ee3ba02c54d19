"""Fine-tuning: settings of a preparation and of a training run that continue a model folder."""

from pathlib import Path
from typing import Any, Dict, List

from gnmt.checkpoints.checkpoint_writing import CHECKPOINT
from gnmt.checkpoints.model_config import ModelConfig, read_config
from gnmt.checkpoints.model_folder import CONFIG, VOCABULARY
from gnmt.checkpoints.network_options import training_options
from gnmt.checkpoints.vocabulary_file import read_vocabularies
from gnmt.corpora.preparation_steps import PRETRAINED
from gnmt.errors import UserError
from gnmt.files.json_objects import read_object
from gnmt.tokenizers.tokenizer import DESCRIPTION

SEGMENTATION_OF = {"sentencepiece": "subwords", "words": "word", "mixed_word_char": "mixed"}  # by type of tokenizer


def preparation_of(model: Path) -> Dict[str, Any]:
    """Returns the settings of a preparation that a model determines.

    Args:
        model: model folder.

    Raises:
        UserError: if it is not a model folder, or `gnmt prepare` cannot encode text for it.
    """
    config = read_config(model / CONFIG, ModelConfig)
    source, target = read_vocabularies(model / VOCABULARY)
    tokenizer = read_object(model / DESCRIPTION)
    kind = tokenizer.get("type")
    is_joint = source is target and tokenizer.get("source") == tokenizer.get("target")
    if not is_joint or not isinstance(kind, str) or kind not in SEGMENTATION_OF:
        raise UserError(
            f"{model} has a vocabulary for each language or a tokenizer of type {kind}, but --model needs a joint "
            f"vocabulary and one of {', '.join(SEGMENTATION_OF)}: use `gnmt import`, and fairseq-preprocess."
        )
    return {
        "model": str(model),
        "source_language": config.source_language,
        "target_language": config.target_language,
        "segmentation": SEGMENTATION_OF[kind],
        "vocab_size": config.source_vocab_size,
        "embedding_size": 0,
    }


def training_of(folder: Path) -> List[str]:
    """Returns the options of fairseq-train that continue the model of a preparation.

    Args:
        folder: folder of the preparation.

    Raises:
        UserError: if the configuration of the model is missing or damaged.
    """
    pretrained = folder / PRETRAINED
    config = read_config(pretrained / CONFIG, ModelConfig)
    return ["--finetune-from-model", str(pretrained / CHECKPOINT), *training_options(config)]
