"""Model card: README.md of a model folder."""

from pathlib import Path
from typing import Any, List, Mapping, NamedTuple, Optional

from gnmt import __version__
from gnmt.checkpoints.fairseq_checkpoint import TrainedModel

# Most informative options of fairseq-train, by section of its configuration.
TRAINING_OPTIONS = {
    "model": ("_name", "dropout", "share_decoder_input_output_embed", "no_share_embeddings", "init_range"),
    "criterion": ("_name", "label_smoothing"),
    "optimizer": ("_name",),
    "lr_scheduler": ("_name",),
    "optimization": ("lr", "max_update", "max_epoch", "clip_norm", "update_freq", "sentence_avg"),
    "dataset": ("batch_size", "max_tokens"),
    "common": ("seed", "fp16", "bf16"),
}


class Check(NamedTuple):
    """BLEU of a model on a test set."""

    source: Path
    reference: Path
    bleu: float
    signature: str


def model_card(trained: TrainedModel, tokenizer: str, check: Optional[Check]) -> str:
    """Returns the card of a model in Markdown.

    Args:
        trained: exported model.
        tokenizer: type of its tokenizer.
        check: BLEU on a test set, if it was measured.
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
        *_training(trained.options),
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


def _training(options: Mapping[str, Any]) -> List[str]:
    rows = []
    for section, names in TRAINING_OPTIONS.items():
        found = options.get(section) or {}
        if isinstance(found, dict):
            rows += [f"- {section}: {name} = {found[name]}" for name in names if found.get(name) not in (None, False)]
    return rows or ["The checkpoint has no options of its training."]
