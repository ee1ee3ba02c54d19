"""Checks of fairseq's options at the start of a command, by the table of `fairseq_options`."""

import ast
import dataclasses
import importlib.util
from typing import Any, Iterator, Sequence, Tuple

from fairseq.dataclass.configs import FairseqConfig, GenerationConfig
from fairseq.models import MODEL_DATACLASS_REGISTRY
from fairseq.registry import REGISTRIES
from fairseq.tasks import TASK_DATACLASS_REGISTRY
from omegaconf import DictConfig, ListConfig

from fairseq_gnmt.fairseq_options import GENERATE, INTERACTIVE, RANGES, TRAIN, TRANSLATION, entry_of, refusal
from fairseq_gnmt.parallel_options import check_parallel_options
from gnmt.errors import UserError
from gnmt.ranges import MAX_NUMBER, Range, check_ranges
from gnmt.search.options import SearchOptions

# Options that fairseq ignores with a warning if their package is missing: alternative names of the package.
PACKAGES = {
    "tensorboard_logdir": ("tensorboard", "tensorboardX"),
    "wandb_project": ("wandb",),
    "aim_repo": ("aim",),
    "azureml_logging": ("azureml",),
}
GROUPS = ("common", "common_eval", "distributed_training", "dataset", "optimization", "checkpoint", "generation",
          "interactive", "ema", "task")  # fmt: skip
COMPONENTS = ("model", "criterion", "optimizer", "lr_scheduler", "bmuf")
# Options of the search that do not change the log-probability of a reference
SEARCH_ONLY = {"beam", "nbest", "max_len_a", "max_len_b", "min_len", "unkpen", "temperature", "no_repeat_ngram_size",
               "length_norm_factor", "length_norm_const", "coverage_penalty", "prune_tokens",
               "prune_hypotheses"}  # fmt: skip
# Defaults that depend on the machine or on other options
NEUTRAL = {"distributed_world_size": 1, "batch_size_valid": None, "max_tokens_valid": None}
ANY_NUMBER = Range(-MAX_NUMBER, MAX_NUMBER)


def check_options(cfg: DictConfig, command: str) -> None:
    """Refuses options that the command would ignore, and numbers outside their range.

    Args:
        cfg: the whole configuration (FairseqConfig) of a command.
        command: "train", "generate", "interactive" or "validate".

    Raises:
        UserError: for the first such option.
    """
    given = dict(given_options(cfg))
    for option in given:
        reason = refusal(command, option, given)
        if reason is not None:
            raise UserError(reason)
    if command == TRAIN:
        for option in PACKAGES.keys() & given.keys():
            if not any(importlib.util.find_spec(package) for package in PACKAGES[option]):
                raise UserError(
                    f"--{option.replace('_', '-')} needs the package {PACKAGES[option][0]}: pip install it."
                )
    if command == TRAIN and cfg.dataset.combine_valid_subsets and cfg.dataset.valid_subset != "valid":
        raise UserError("--combine-valid-subsets combines valid, valid1 and so on: leave --valid-subset out.")
    if command == TRAIN:
        check_parallel_options(cfg, given)
    if command == GENERATE:
        check_architecture_options(cfg)
        if cfg.generation.score_reference:
            for option in filter(SEARCH_ONLY.__contains__, given):
                raise UserError(
                    f"--{option.replace('_', '-')} has no effect on --score-reference, which does not search: leave one out."
                )
        if cfg.distributed_training.distributed_world_size > 1 and cfg.dataset.num_shards > 1:
            raise UserError("--num-shards and --distributed-world-size both shard the data: pass only one of them.")
        if not cfg.dataset.shard_id < cfg.dataset.num_shards:
            raise UserError(
                f"--shard-id is {cfg.dataset.shard_id}, but must be below --num-shards, {cfg.dataset.num_shards}."
            )
    check_dictionary("model_overrides", cfg.common_eval.model_overrides)
    check_dictionary("optimizer_overrides", cfg.checkpoint.optimizer_overrides)
    check_numbers(cfg)
    if command in TRANSLATION.split():
        search_values = {
            option.name: cfg.generation.get(option.name, cfg.task.get(option.name))
            for option in dataclasses.fields(SearchOptions)
        }
        SearchOptions(**{name: value for name, value in search_values.items() if value is not None})


def check_generation_options(options: Any, commands: Sequence[str] = (GENERATE, INTERACTIVE)) -> None:
    """Checks search options that come from Python or from --eval-bleu-args.

    Args:
        options: namespace or mapping with fields of GenerationConfig.
        commands: "generate", "interactive" or both.

    Raises:
        UserError: if all of these commands refuse an option.
    """
    defaults = GenerationConfig()
    value_of = options.get if hasattr(options, "get") else lambda name: getattr(options, name, None)
    names = [option.name for option in dataclasses.fields(GenerationConfig) if not option.name.startswith("_")]
    given = {name: value_of(name) for name in names if value_of(name) not in (None, getattr(defaults, name))}
    for option in given:
        refusals = [refusal(command, option, given) for command in commands]
        if all(refusals):
            raise UserError(refusals[0])


def given_options(cfg: DictConfig) -> Iterator[Tuple[str, Any]]:
    """Yields names and values of all options that differ from fairseq's default."""
    for group in GROUPS:
        config = cfg.get(group)
        if not isinstance(config, DictConfig):
            continue
        for field in dataclasses.fields(dataclass_of(group, config)):
            if field.name.startswith("_") or field.name not in config or _is_interpolation(field.default):
                continue
            if _differs(config[field.name], NEUTRAL.get(field.name, _default(field))):
                yield field.name, config[field.name]


def check_numbers(cfg: DictConfig) -> None:
    """Checks the numbers of a configuration.

    Raises:
        UserError: if a number is not finite or outside the range of its option.
    """
    for group in (*GROUPS, *COMPONENTS):
        config = cfg.get(group)
        if not isinstance(config, DictConfig):
            continue
        for option, value in config.items():
            if option in RANGES and isinstance(value, ListConfig) and not value:
                raise UserError(f"--{option.replace('_', '-')} has no number: give one, or leave the option out.")
            for number in value if isinstance(value, ListConfig) else [value]:
                if isinstance(number, (int, float)) and not isinstance(number, bool):
                    RANGES.get(option, ANY_NUMBER).check(option, number)
        config_class = dataclass_of(group, config)
        if config_class is not None:
            check_ranges(config_class, config)


def check_dictionary(option: str, text: str) -> None:
    """Checks that the text of an option is a dictionary in Python's notation.

    Raises:
        UserError: if it is not.
    """
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise UserError(
            f"--{option.replace('_', '-')} is not a dictionary ({error}): write \"{{'dropout': 0.1}}\"."
        ) from error
    if not isinstance(value, dict):
        raise UserError(f"--{option.replace('_', '-')} is not a dictionary ({text}): write \"{{'dropout': 0.1}}\".")


def check_architecture_options(cfg: DictConfig) -> None:
    """Refuses network options in fairseq-generate, which accepts options of wav2vec 2.0 and ignores them.

    Raises:
        UserError: for the first such option.
    """
    config_class = dataclass_of("model", cfg.model) if isinstance(cfg.model, DictConfig) else None
    for field in dataclasses.fields(config_class) if config_class else ():
        value = cfg.model.get(field.name)
        shared = field.name == "_name" or entry_of(GENERATE, field.name) is not None or _is_interpolation(field.default)
        if not shared and _differs(value, _default(field)):
            raise UserError(
                f"--{field.name.replace('_', '-')} {value} is not supported in fairseq-generate: the checkpoint has the options of "
                "its network, which --model-overrides changes."
            )


def dataclass_of(group: str, config: DictConfig) -> Any:
    """Returns the dataclass that declares the options of a group.

    Args:
        group: name of the group, such as "model".
        config: configuration of the group.
    """
    name = config.get("_name")
    if group in ("model", "task"):
        return (MODEL_DATACLASS_REGISTRY if group == "model" else TASK_DATACLASS_REGISTRY).get(name)
    if group in REGISTRIES:
        return REGISTRIES[group]["dataclass_registry"].get(name)
    field = FairseqConfig.__dataclass_fields__.get(group)
    return field.type if field is not None and dataclasses.is_dataclass(field.type) else None


def _default(field: dataclasses.Field) -> Any:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def _differs(value: Any, default: Any) -> bool:
    return value != default and str(value) != str(default)  # a choice may be an enumeration member or a string


def _is_interpolation(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("${")
