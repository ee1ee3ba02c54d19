"""fairseq's parsers and configurations, as its commands create them."""

import argparse
import copy
import functools

from fairseq import options
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.optim import FairseqBMUF
from fairseq.tasks import TASK_REGISTRY
from fairseq_cli import score
from omegaconf import DictConfig

from fairseq_gnmt.fairseq_options import GENERATE, INTERACTIVE, SCORE, TASK, TRAIN, VALIDATE

PARSERS = {
    TRAIN: options.get_training_parser,
    GENERATE: options.get_generation_parser,
    INTERACTIVE: lambda: options.get_generation_parser(interactive=True),
    VALIDATE: options.get_validation_parser,
    SCORE: score.get_parser,
}


def parser_of(command: str) -> argparse.ArgumentParser:
    """Returns fairseq's parser of a command, with the options of the task."""
    parser = PARSERS[command]()
    if command != SCORE:
        TASK_REGISTRY[TASK].add_args(parser)
    if command == TRAIN:
        FairseqBMUF.add_args(parser)  # fairseq does this with --use-bmuf
    return parser


@functools.cache
def defaults(command: str, *arguments: str):
    """Returns the configuration of a command line, converted by fairseq."""
    architecture = ["--arch", "gnmt_v2"] if command == TRAIN else []
    parsed = options.parse_args_and_arch(
        PARSERS[command](), ["data", "--task", TASK, "--cpu", *architecture, *arguments]
    )
    return convert_namespace_to_omegaconf(parsed)


def configuration(command: str, *arguments: str, **values):
    """Returns the defaults with other values, in each group that has such an option, as fairseq does it."""
    cfg = copy.deepcopy(defaults(command, *arguments))
    for name, value in values.items():
        groups = [group for group in cfg.values() if isinstance(group, DictConfig) and name in group]
        assert groups
        for group in groups:
            group[name] = value
    return cfg
