"""Model card: README.md of a model folder."""

from pathlib import Path
from typing import Any, List, Mapping, NamedTuple, Optional, Sequence

from gnmt import __version__
from gnmt.checkpoints.fairseq_checkpoint import TrainedModel

# Most informative options of fairseq-train: section of its configuration, name, and words for readers.
TRAINING_OPTIONS = (
    ("model", "_name", "architecture"),
    ("model", "dropout", "dropout"),
    ("model", "share_decoder_input_output_embed", "output layer shares the embeddings"),
    ("model", "no_share_embeddings", "separate embeddings of source and target"),
    ("model", "init_range", "largest initial weight"),
    ("criterion", "_name", "loss"),
    ("criterion", "label_smoothing", "label smoothing"),
    ("optimizer", "_name", "optimizer"),
    ("lr_scheduler", "_name", "learning rate schedule"),
    ("optimization", "lr", "learning rate"),
    ("optimization", "max_update", "updates"),
    ("optimization", "max_epoch", "epochs"),
    ("optimization", "clip_norm", "largest norm of the gradient"),
    ("optimization", "update_freq", "batches per update"),
    ("optimization", "sentence_avg", "loss averaged over sentences"),
    ("dataset", "batch_size", "sentences per batch"),
    ("dataset", "max_tokens", "tokens per batch"),
    ("common", "seed", "seed"),
    ("common", "fp16", "trained in fp16"),
    ("common", "bf16", "trained in bf16"),
)


class TrainingData(NamedTuple):
    """Training corpora of `gnmt prepare`."""

    names: Sequence[str]  # without folders
    folder: str  # name of the folder of `gnmt prepare`
    pairs: int  # sentence pairs after cleaning


class Check(NamedTuple):
    """BLEU of a model on a test set."""

    source: Path
    reference: Path
    bleu: float
    signature: str


def model_card(
    trained: TrainedModel, tokenizer: str, check: Optional[Check], data: Optional[TrainingData] = None
) -> str:
    """Returns the card of a model in Markdown.

    Args:
        trained: exported model.
        tokenizer: type of its tokenizer.
        check: BLEU on a test set, if it was measured.
        data: training corpora, if they are known.
    """
    config = trained.config
    parameters = sum(parameter.numel() for parameter in trained.network.parameters())
    lines = [
        "---",
        f"language: [{config.source_language}, {config.target_language}]",
        "pipeline_tag: translation",
        "tags: [gnmt, translation, lstm]",
        "---",
        f"# GNMT, {config.source_language} to {config.target_language}",
        "",
        f"Recurrent neural translation model with {config.encoder_layers} encoder and {config.decoder_layers} decoder layers of "
        f"width {config.hidden_size}, {parameters:,} parameters, stored in {config.precision}. Tokenizer: {tokenizer}.",
        "",
        "```python",
        "from gnmt import Translator",
        'Translator.from_pretrained("FOLDER").translate(["..."])[0].text',
        "```",
        "",
        "## Quality",
        "",
        *_quality(check),
        "",
        "## Training",
        "",
        *_training(trained.options, data),
        "",
        "## Limits",
        "",
        "The model is for sentences that resemble its training text. Other text, names and numbers may be translated "
        "incorrectly, without a warning. Its behaviour on harmful or biased text has not been evaluated.",
        "",
        f"Written by gnmt {__version__}.",
    ]
    return "\n".join(lines) + "\n"


def _quality(check: Optional[Check]) -> List[str]:
    if check is None:
        return ["Not measured: export with `--check SOURCE REFERENCE`."]
    return [
        f"BLEU {check.bleu:.2f} on `{check.source.name}` against `{check.reference.name}`, measured on this folder.",
        "",
        f"    {check.signature}",
    ]


def _training(options: Mapping[str, Any], data: Optional[TrainingData]) -> List[str]:
    rows = []
    if data is not None:
        names = ", ".join(f"`{name}`" for name in data.names)
        rows.append(f"- training data: {names} in `{data.folder}`, {data.pairs:,} sentence pairs after cleaning")
    for section, name, words in TRAINING_OPTIONS:
        settings = options.get(section)
        value = settings.get(name) if isinstance(settings, dict) else None
        if value not in (None, False):  # 0 too: the option has no effect
            rows.append(f"- {words}: {_value(value)}")
    return rows or ["The checkpoint has no options of its training."]


def _value(value: Any) -> str:
    """Returns the value of an option for readers; a list has a value for each epoch."""
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_value, value))
    return "yes" if value is True else str(value)
