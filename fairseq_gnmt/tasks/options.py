"""Options of the task, and checks of their values at the start."""

import logging
from dataclasses import dataclass, field, fields, make_dataclass
from typing import Any, Dict, Optional

from fairseq.data import LanguagePairDataset
from fairseq.data.encoders import TOKENIZER_REGISTRY
from fairseq.dataclass import ChoiceEnum
from fairseq.dataclass.configs import GenerationConfig
from fairseq.tasks.translation import TranslationConfig
from omegaconf import II

from fairseq_gnmt.fairseq_options import RANGES
from fairseq_gnmt.patches.checkpoint_reading import DEFAULT_RESTORE_FILE
from fairseq_gnmt.segmentation.encoders import join_tokens
from gnmt.errors import UserError
from gnmt.precision import PRECISION_HELP, PRECISIONS
from gnmt.ranges import Range
from gnmt.search.options import SearchOptions

logger = logging.getLogger(__name__)

NO_LIMIT = 100_000  # tokens; an LSTM has no limit, but fairseq requires a number
BATCH_OPTIONS = {  # arguments of get_batch_iterator and their options
    "max_tokens": "max_tokens",
    "max_sentences": "batch_size",
    "required_batch_size_multiple": "required_batch_size_multiple",
    "num_workers": "num_workers",
}
# Search options that fairseq does not have.
OWN_SEARCH_OPTIONS = [
    (option.name, option.type, field(default=option.default, metadata=option.metadata))
    for option in fields(SearchOptions)
    if option.name not in GenerationConfig.__dataclass_fields__
]
SearchConfig = make_dataclass("SearchConfig", OWN_SEARCH_OPTIONS, bases=(TranslationConfig,))
SearchConfig.__module__ = __name__


@dataclass
class GNMTTranslationConfig(SearchConfig):  # type: ignore[valid-type,misc]  # made of SearchOptions
    """Options of the task `gnmt_translation`."""

    precision: Optional[ChoiceEnum(list(PRECISIONS))] = field(  # type: ignore[valid-type]  # of fairseq
        default=None,
        metadata={"help": PRECISION_HELP},
    )
    quantize: ChoiceEnum(["none", "int8"]) = field(  # type: ignore[valid-type]  # of fairseq
        default="none", metadata={"help": "deprecated name of --precision int8"}
    )
    train_max_length: int = field(
        default=1024,
        metadata={
            "help": "skip training pairs with more than this number of tokens on the longer side, including BOS and EOS "
            "(NVIDIA: 50)",
            "range": Range(1),
        },
    )
    pretrained_embeddings: Optional[str] = field(
        default=None,
        metadata={"help": "file of initial embeddings for a new training run, written by `gnmt cooccurrence`"},
    )
    vocabulary_parallel: int = field(
        default=1,
        metadata={
            "help": "number of processes over which the output layer is divided; must be all processes of the training",
            "range": Range(1, 1024),
        },
    )
    nvidia_conventions: bool = field(
        default=False,
        metadata={"help": "add BOS to sources and start decoding from BOS, as in the training of NVIDIA's models"},
    )
    layer_devices: Optional[str] = field(
        default=None,
        metadata={"help": "GPUs over which the layers of one replica are divided: cuda:0,cuda:1 (docs/scaling.md)"},
    )
    time_chunks: Optional[int] = field(
        default=None,
        metadata={
            "help": "number of chunks of a sequence, which the devices of --layer-devices compute in parallel (default: 4)",
            "range": Range(1),
        },
    )
    asynchronous_replicas: int = field(
        default=0,
        metadata={"help": "number of replicas that train asynchronously; 0: synchronous training", "range": Range(0)},
    )
    max_staleness: Optional[int] = field(
        default=None,
        metadata={
            "help": "maximum number of updates between the parameters of a gradient and its application (default: 2 x (replicas - 1))",
            "range": Range(0),
        },
    )
    parameter_servers: int = field(
        default=1,
        metadata={"help": "number of processes that hold the parameters in asynchronous training", "range": Range(1)},
    )
    max_source_positions: int = field(
        default=NO_LIMIT, metadata={"help": "maximum number of tokens of a source sentence"}
    )
    max_target_positions: int = field(
        default=NO_LIMIT, metadata={"help": "maximum number of tokens of a target sentence"}
    )
    save_dir: str = II("checkpoint.save_dir")
    no_save: bool = II("checkpoint.no_save")
    restore_file: str = II("checkpoint.restore_file")
    finetune_from_model: Optional[str] = II("checkpoint.finetune_from_model")
    best_checkpoint_metric: str = II("checkpoint.best_checkpoint_metric")
    # Always True, and not an option: new batches in every epoch. fairseq would keep the batches of the epoch in which
    # its process was started, so a resumed training run would have other batches.
    rebuild_batches: bool = II("oc.decode:'true'")


# --replace-unk without a value copies the source word; fairseq's constant, "@@ ", would be read as a file name.
_replace_unk = GenerationConfig.__dataclass_fields__["replace_unk"]
_replace_unk.metadata = {**_replace_unk.metadata, "argparse_const": ""}


def precision_of(cfg: Any) -> Optional[str]:
    """Returns the precision of translation, None for the model's own; accepts the deprecated --quantize.

    Raises:
        UserError: if both options are given.
    """
    precision = None if cfg.precision is None else str(cfg.precision)
    if str(cfg.quantize) == "none":
        return precision
    logger.warning("--quantize int8 is now --precision int8; the earlier spelling will be removed")
    if precision not in (None, "int8"):
        raise UserError(f"--quantize int8 and --precision {precision} both choose the precision: leave --quantize out.")
    return "int8"


def check_batch_options(given: Dict[str, Any]) -> None:
    """Checks the arguments of get_batch_iterator: for fairseq, 0 sentences means all sentences at once."""
    for argument, option in BATCH_OPTIONS.items():
        if given.get(argument) is not None:
            RANGES[option].check(option, given[argument])


def check_beginning(cfg: GNMTTranslationConfig) -> None:
    """Checks that --pretrained-embeddings is used only in a new training run.

    Raises:
        UserError: if weights are loaded from a checkpoint.
    """
    loads = cfg.finetune_from_model or cfg.restore_file != DEFAULT_RESTORE_FILE
    if cfg.pretrained_embeddings and loads:
        raise UserError(
            "--pretrained-embeddings is for a new training run, but --finetune-from-model and --restore-file load all weights: "
            "leave one out."
        )


def check_validation_options(cfg: GNMTTranslationConfig) -> None:
    """Checks options of a training run that would otherwise cause errors only at the first validation.

    Raises:
        UserError: for the first wrong option.
    """
    if cfg.eval_bleu:
        if cfg.eval_bleu_detok not in TOKENIZER_REGISTRY:
            known = ", ".join(sorted(TOKENIZER_REGISTRY))
            raise UserError(f"--eval-bleu-detok is {cfg.eval_bleu_detok}, but must be one of {known}.")
        join_tokens("", cfg.eval_bleu_remove_bpe)
    elif cfg.best_checkpoint_metric == "bleu":
        raise UserError("--best-checkpoint-metric bleu needs --eval-bleu, which translates the validation set.")


def check_references(args: Any, datasets: Dict[str, LanguagePairDataset]) -> None:
    """Checks search options that depend on references.

    Args:
        args: search options.
        datasets: data sets by split.

    Raises:
        UserError: if a data set has no references.
    """
    for name in ("score_reference", "prefix_size"):
        for split, pairs in datasets.items():
            if getattr(args, name, None) and pairs.tgt is None:
                raise UserError(
                    f"--{name.replace('_', '-')} needs references, but the {split} set has none: binarise both languages."
                )


def check_fairseq_positions(args: Any) -> None:
    """Checks options of fairseq's own search, which would count the source's BOS as a word.

    Raises:
        UserError: for --match-source-len with --nvidia-conventions.
    """
    if getattr(args, "match_source_len", False):
        raise UserError("--match-source-len would count the BOS of --nvidia-conventions: leave one of them out.")
