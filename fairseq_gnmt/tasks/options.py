"""The options of the task, and what is checked of them before any work."""
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional

from fairseq.data.encoders import TOKENIZER_REGISTRY
from fairseq.dataclass import ChoiceEnum
from fairseq.dataclass.configs import GenerationConfig
from fairseq.tasks.translation import TranslationConfig
from omegaconf import II

from fairseq_gnmt.patches.checkpoint_reading import DEFAULT_RESTORE_FILE
from fairseq_gnmt.errors import UserError
from fairseq_gnmt.segmentation.bpe import join_tokens

NO_LIMIT = 100_000  # tokens; fairseq wants a number where an LSTM has no limit
LEAST = {"max_tokens": 1, "batch_size": 1, "required_batch_size_multiple": 1, "num_workers": 0}


@dataclass
class GNMTTranslationConfig(TranslationConfig):
    length_norm_factor: float = field(
        default=0.6, metadata={"help": "a in the length penalty ((c + length) / (c + 1))^a; 0: none"}
    )
    length_norm_const: float = field(default=5.0, metadata={"help": "c in the length penalty"})
    coverage_penalty: float = field(
        default=0.1, metadata={"help": "weight of the coverage penalty on sources that got little attention; 0: none"}
    )
    prune_tokens: float = field(
        default=0.0,
        metadata={"help": "give up tokens whose log-probability is so far below the best of their hypothesis; 0: none (paper: 3.0)"},
    )
    prune_hypotheses: float = field(
        default=0.0,
        metadata={"help": "give up hypotheses whose score is so far below the best finished one; 0: none (paper: 3.0)"},
    )
    quantize: ChoiceEnum(["none", "int8"]) = field(
        default="none", metadata={"help": "arithmetic of translation: the model's own, or 8-bit integers (on a CPU)"}
    )
    train_max_length: int = field(
        default=1024,
        metadata={"help": "skip training pairs with a longer side, in tokens with begin and end mark (NVIDIA: 50)"},
    )
    pretrained_embeddings: Optional[str] = field(
        default=None,
        metadata={"help": "file of vectors that the embeddings of a new training begin with (python -m fairseq_gnmt.data.cooccurrence)"},
    )
    nvidia_conventions: bool = field(
        default=False,
        metadata={"help": "begin marks on sources and to start decoding from, as NVIDIA's models were trained with"},
    )
    max_source_positions: int = field(default=NO_LIMIT, metadata={"help": "longest source sentence"})
    max_target_positions: int = field(default=NO_LIMIT, metadata={"help": "longest target sentence"})
    save_dir: str = II("checkpoint.save_dir")
    no_save: bool = II("checkpoint.no_save")
    restore_file: str = II("checkpoint.restore_file")
    finetune_from_model: Optional[str] = II("checkpoint.finetune_from_model")
    best_checkpoint_metric: str = II("checkpoint.best_checkpoint_metric")
    update_freq: List[int] = II("optimization.update_freq")
    log_interval: int = II("common.log_interval")
    amp: bool = II("common.amp")
    # Always true, and no option: new batches in every epoch. fairseq would keep those of the epoch that a training
    # was started in, so that a resumed one had others.
    rebuild_batches: bool = II("oc.decode:'true'")


# --replace-unk alone means to copy the source word; fairseq's constant for it, "@@ ", names a file of that name.
_replace_unk = GenerationConfig.__dataclass_fields__["replace_unk"]
_replace_unk.metadata = {**_replace_unk.metadata, "argparse_const": ""}


def check_batch_options(given: Dict[str, Any]) -> None:
    """fairseq takes 0 sentences for all of them at once."""
    for name, least in LEAST.items():
        value = given.get("max_sentences" if name == "batch_size" else name)
        if value is not None and value < least:
            raise UserError(f"--{name.replace('_', '-')} is {value}, but must be at least {least}.")


def check_counts(cfg: GNMTTranslationConfig) -> None:
    """What fairseq would divide by."""
    for name, values in (("update-freq", cfg.update_freq), ("log-interval", [cfg.log_interval])):
        if min(values) < 1:
            raise UserError(f"--{name} is {min(values)}, but must be at least 1.")


def check_precision(cfg: GNMTTranslationConfig) -> None:
    """Raises UserError for --amp: fairseq divides the gradients by the loss scale twice, which Adam's epsilon notices."""
    if cfg.amp:
        raise UserError("--amp is wrong in fairseq, which unscales gradients twice: use --fp16 or --bf16 instead.")


def check_beginning(cfg: GNMTTranslationConfig) -> None:
    """A model that is loaded brings its embeddings."""
    loads = cfg.finetune_from_model or cfg.restore_file != DEFAULT_RESTORE_FILE
    if cfg.pretrained_embeddings and loads:
        raise UserError(
            "--pretrained-embeddings is for a new training, but --finetune-from-model and --restore-file load all weights: "
            "leave one out."
        )


def check_validation_options(cfg: GNMTTranslationConfig) -> None:
    """What would only be stumbled over after the first epoch."""
    if str(cfg.quantize) != "none":
        raise UserError(f"--quantize {cfg.quantize} is for translation: leave it out in training.")
    if cfg.eval_bleu:
        if cfg.eval_bleu_detok not in TOKENIZER_REGISTRY:
            known = ", ".join(sorted(TOKENIZER_REGISTRY))
            raise UserError(f"--eval-bleu-detok is {cfg.eval_bleu_detok}, but must be one of {known}.")
        join_tokens("", cfg.eval_bleu_remove_bpe)
    elif cfg.best_checkpoint_metric == "bleu":
        raise UserError("--best-checkpoint-metric bleu needs --eval-bleu, which translates the validation set.")


def check_fairseq_positions(args: Any) -> None:
    """fairseq's own searches would count the source's begin mark as a word."""
    for name in ("print_alignment", "replace_unk", "match_source_len"):
        if getattr(args, name, None) not in (None, False):
            raise UserError(f"--{name.replace('_', '-')} goes with --nvidia-conventions only in GNMT's own search.")
