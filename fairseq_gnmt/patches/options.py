"""Checks of all options before a command of fairseq reads data.

fairseq ignores many options that its parsers accept. The task receives only its own group of the configuration, so the
check runs before the command's `main` function.
"""

import ast
import functools

from omegaconf import DictConfig

from fairseq_gnmt.fairseq_option_checks import check_dictionary, check_options
from fairseq_gnmt.fairseq_options import (
    GENERATE,
    INTERACTIVE,
    TASK,
    TRAIN,
    TRANSLATION,
    VALIDATE,
)
from fairseq_gnmt.patches.commands import before_main
from gnmt.precision import check_precision


def check_options_first() -> None:
    """Adds the check to each loaded command."""
    for command in (TRAIN, GENERATE, INTERACTIVE, VALIDATE):
        before_main(command, functools.partial(prepare, command))


def prepare(command: str, cfg: DictConfig) -> None:
    """Checks the configuration of a command, and makes fairseq-generate honour --num-shards.

    Args:
        command: "train", "generate", "interactive" or "validate".
        cfg: the whole configuration, which may be changed in place.
    """
    if cfg.task._name == TASK:
        if command in TRANSLATION.split():
            override_precision(cfg)
        check_options(cfg, command)
        if command == GENERATE and cfg.dataset.num_shards > 1:
            share_out(cfg)


def override_precision(cfg: DictConfig) -> None:
    """Copies the precision of --model-overrides to the task, which fairseq builds from the command line only."""
    check_dictionary("model_overrides", cfg.common_eval.model_overrides)
    overrides = ast.literal_eval(cfg.common_eval.model_overrides)
    if overrides.get("precision") is not None:
        check_precision(overrides["precision"])
        cfg.task.precision = overrides["precision"]
    if overrides.get("quantize", "none") != "none":
        check_precision(overrides["quantize"])
        cfg.task.quantize = overrides["quantize"]


def share_out(cfg: DictConfig) -> None:
    """Makes fairseq-generate translate one shard, by the options with which fairseq divides data over processes."""
    cfg.distributed_training.distributed_world_size = cfg.dataset.num_shards
    cfg.distributed_training.distributed_rank = cfg.dataset.shard_id
