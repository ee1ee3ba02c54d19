"""Tests that each option of fairseq's commands is classified once for each command that accepts it.

The options are read from fairseq's parsers.
"""

import argparse
import dataclasses
import functools
import math
from types import SimpleNamespace
from typing import Iterator, Set, Tuple

import pytest
from fairseq_configurations import PARSERS, configuration, parser_of
from fairseq.dataclass.utils import gen_parser_from_dataclass
from fairseq.models import MODEL_DATACLASS_REGISTRY
from fairseq.registry import REGISTRIES
from fairseq.tasks import TASK_DATACLASS_REGISTRY

from fairseq_gnmt.fairseq_option_checks import check_generation_options, check_options
from fairseq_gnmt.fairseq_options import (
    CLASSIFICATION,
    GENERATE,
    INTERACTIVE,
    RANGES,
    TASK,
    TRAIN,
    VALIDATE,
    entry_of,
)
from fairseq_gnmt.patches.options import share_out
from gnmt.errors import UserError
from gnmt.ranges import Range, check_ranges
from gnmt.search.options import SearchOptions


@functools.cache
def options_of(command: str) -> Set[str]:
    return {action.dest for action in parser_of(command)._actions} - {"help"}


def own_components() -> Iterator[Tuple[str, str, type]]:
    """Returns kind, name and dataclass of each component that the plugin registers, except the task."""
    for name, declared in MODEL_DATACLASS_REGISTRY.items():
        if declared.__module__.startswith("fairseq_gnmt"):
            yield "model", name, declared
    for kind, registry in REGISTRIES.items():
        for name, declared in registry["dataclass_registry"].items():
            if declared is not None and declared.__module__.startswith("fairseq_gnmt"):
                yield kind, name, declared


@pytest.mark.parametrize("command", PARSERS)
def test_every_option_is_classified_once(command):
    for option in sorted(options_of(command)):
        entries = [entry for entry in CLASSIFICATION if not entry.values and entry.covers(command, option)]
        assert len(entries) == 1, f"--{option} of fairseq-{command}: {entries}"


def test_an_option_that_fairseq_adds_is_noticed():
    assert entry_of(GENERATE, "option_of_a_later_fairseq") is None


@pytest.mark.parametrize("entry", CLASSIFICATION, ids=lambda entry: f"{entry.support.name} {entry.options[:30]}")
def test_entries_name_options_that_exist(entry):
    known = set().union(*map(options_of, entry.commands.split())) | {"arch"}  # a hidden option of fairseq-generate
    assert set(entry.options.split()) <= known
    assert entry.remark or entry.support.name == "HONOURED"


def test_components_of_the_plugin_add_no_option_that_a_command_has():
    """fairseq would either drop an option with an existing name or use one value for both."""
    commands = set().union(*(options_of(command) for command in PARSERS))
    components = list(own_components())
    assert {kind for kind, *_ in components} == {"model", "criterion", "optimizer", "lr_scheduler", "bpe", "scoring"}
    for kind, name, declared in components:
        parser = argparse.ArgumentParser()
        gen_parser_from_dataclass(parser, declared())
        assert not ({action.dest for action in parser._actions} - {"help"}) & commands, (kind, name)


HUGE = 99999999999999999999


@pytest.mark.parametrize(
    "command, values, words",
    [
        (TRAIN, dict(left_pad_target=True), "--left-pad-target is not supported in fairseq-train"),
        (GENERATE, dict(left_pad_target=True), "--left-pad-target is not supported in fairseq-generate"),
        (TRAIN, dict(num_shards=2), "--distributed-world-size and --distributed-rank"),
        (TRAIN, dict(ddp_backend="fully_sharded"), "use pytorch_ddp"),
        (TRAIN, dict(ema_decay=0.5), "give --store-ema, too"),
        (TRAIN, dict(combine_valid_subsets=True, valid_subset="valid,valid1"), "leave --valid-subset out"),
        (TRAIN, dict(wandb_project="x"), "--wandb-project needs the package wandb"),
        (TRAIN, dict(write_checkpoints_asynchronously=True), "before the training goes on"),
        (GENERATE, dict(bf16=True), "float32 or with --fp16"),
        (GENERATE, dict(amp=True), "float32 or with --fp16"),
        (GENERATE, dict(lm_weight=0.5), "give --lm-path, too"),
        (GENERATE, dict(constraints="ordered"), "use fairseq-interactive"),
        (GENERATE, dict(lenpen=0.6), "GNMT's length normalisation is --length-norm-factor"),
        (GENERATE, dict(sampling_topk=3), "give --sampling, too"),
        (GENERATE, dict(iter_decode_max_iter=3), "iterative refinement"),
        (GENERATE, dict(shard_id=1), "--num-shards must be larger"),
        (GENERATE, dict(shard_id=2, num_shards=2), "--shard-id is 2, but must be below --num-shards, 2"),
        (GENERATE, dict(num_shards=2, distributed_world_size=2), "pass only one of them"),
        (INTERACTIVE, dict(num_shards=2), "give each process a part of the text"),
        (INTERACTIVE, dict(distributed_world_size=2), "give each process a part of the text"),
        (INTERACTIVE, dict(score_reference=True), "has no references; use fairseq-generate"),
        (INTERACTIVE, dict(prefix_size=2), "has no references; use fairseq-generate"),
        (INTERACTIVE, dict(lm_path="lm.pt"), "use fairseq-generate"),
        (VALIDATE, dict(combine_valid_subsets=True), "--valid-subset valid,valid1"),
        (VALIDATE, dict(results_path="x"), "redirect its output"),
    ],
)
def test_refused(command, values, words):
    with pytest.raises(UserError, match=words):
        check_options(configuration(command, **values), command)


@pytest.mark.parametrize(
    "command, values",
    [
        (TRAIN, dict()),
        (TRAIN, dict(bf16=True, tpu=True)),  # fairseq sets this with --tpu
        (TRAIN, dict(store_ema=True, ema_decay=0.5)),
        (TRAIN, dict(valid_subset="valid,valid1")),
        # fairseq sets the options of validation from these
        (TRAIN, dict(max_tokens=100, max_tokens_valid=100, batch_size=3, batch_size_valid=3)),
        (GENERATE, dict()),
        (GENERATE, dict(sampling=True, nbest=5, sampling_topk=3, lenpen=2, unnormalized=True)),
        (GENERATE, dict(num_shards=2, shard_id=1)),
        (GENERATE, dict(distributed_world_size=2, distributed_rank=1)),
        (GENERATE, dict(save_dir="x", fp16_init_scale=4, valid_subset="x")),
        (INTERACTIVE, dict(constraints="ordered", buffer_size=3)),
        (VALIDATE, dict(path="x")),
    ],
)
def test_accepted(command, values):
    check_options(configuration(command, **values), command)


def test_shards_are_shared_out_as_among_processes():
    cfg = configuration(GENERATE, num_shards=3, shard_id=2)
    share_out(cfg)
    assert (cfg.distributed_training.distributed_world_size, cfg.distributed_training.distributed_rank) == (3, 2)


def test_options_from_python_are_refused_if_no_command_honours_them():
    check_generation_options({"prefix_size": 2, "constraints": "ordered", "beam": 3})
    with pytest.raises(UserError, match="fairseq-interactive has no references"):
        check_generation_options({"prefix_size": 2}, [INTERACTIVE])
    with pytest.raises(UserError, match="--length-norm-factor"):
        check_generation_options(SimpleNamespace(lenpen=0.6))


@pytest.mark.parametrize(
    "command, group, names",
    [
        (GENERATE, "generation", "beam nbest max_len_b min_len prefix_size"),
        (GENERATE, "dataset", "max_tokens batch_size num_workers"),
        (TRAIN, "optimization", "lr update_freq max_update max_epoch"),
        (TRAIN, "model", "hidden_size encoder_layers"),
        (TRAIN, "task", "train_max_length max_source_positions"),
    ],
)
def test_whole_numbers_that_do_not_fit_are_refused(command, group, names):
    for name in names.split():
        cfg = configuration(command)
        cfg[group][name] = [HUGE] if name in ("lr", "update_freq") else HUGE
        with pytest.raises(UserError, match=f"--{name.replace('_', '-')} is {HUGE}.*, but must be at most"):
            check_options(cfg, command)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize(
    "command, arguments, group, names",
    [
        (GENERATE, [], "task", "length_norm_factor length_norm_const coverage_penalty prune_tokens prune_hypotheses"),
        (GENERATE, [], "generation", "max_len_a temperature unkpen diversity_rate lm_weight"),
        (TRAIN, [], "model", "init_range embedding_init_range dropout activation_clip"),
        (TRAIN, [], "optimization", "clip_norm stop_time_hours lr"),
        (TRAIN, ["--optimizer", "gnmt_adam"], "optimizer", "adam_eps weight_decay"),
        (
            TRAIN,
            ["--lr-scheduler", "gnmt_warmup_step_decay"],
            "lr_scheduler",
            "warmup_steps remain_steps decay_interval",
        ),
        (
            TRAIN,
            ["--criterion", "gnmt_mixed_objective"],
            "criterion",
            "likelihood_weight sampling_temperature label_smoothing",
        ),
    ],
)
def test_numbers_must_be_finite(command, arguments, group, names, value):
    for name in names.split():
        cfg = configuration(command, *arguments)
        cfg.generation.lm_path = "lm.pt"
        cfg[group][name] = [value] if name == "lr" else value
        with pytest.raises(UserError, match=f"--{name.replace('_', '-')} is .*, but must be a finite number"):
            check_options(cfg, command)


def test_defaults_are_within_their_ranges():
    declared = [declared for *_, declared in own_components()] + [TASK_DATACLASS_REGISTRY[TASK], SearchOptions]
    ranges = [
        (field, field.metadata["range"])
        for kind in declared
        for field in dataclasses.fields(kind)
        if "range" in field.metadata
    ]
    assert len(ranges) > 30
    for field, accepted in ranges:
        assert field.default is None or accepted.requirement(field.default) is None, field.name


def test_ranges_belong_to_options():
    assert RANGES.keys() <= set().union(*map(options_of, PARSERS))


@pytest.mark.parametrize(
    "accepted, value, requirement",
    [
        (Range(1, 5), 0, "at least 1"),
        (Range(1, 5), 6, "at most 5"),
        (Range(1, 5), 5, None),
        (Range(0, 1, above=True), 0, "above 0"),
        (Range(0, 1, below=True), 1.0, "below 1"),
        (Range(0, off=True), -1, "0 (off) or above"),
        (Range(0), math.nan, "a finite number"),
        (Range(-2), -math.inf, "a finite number"),
        (Range(0), "5", "a number"),
        (Range(0), True, "a number"),
    ],
)
def test_range(accepted, value, requirement):
    assert accepted.requirement(value) == requirement


def test_ranges_of_a_dataclass():
    @dataclasses.dataclass
    class Config:
        whole: int = dataclasses.field(default=1, metadata={"range": Range(1)})
        several: list = dataclasses.field(default=None, metadata={"range": Range(0, below=True, maximum=1)})
        free: float = -5.0

    check_ranges(Config, Config(several=[0, 0.5]))
    for config, words in (
        (Config(whole=0), "--whole is 0, but must be at least 1"),
        (Config(whole=1.5), "--whole is 1.5, but must be a whole number"),
        (Config(several=[0, 1]), "--several is 1, but must be below 1"),
    ):
        with pytest.raises(UserError, match=words):
            check_ranges(Config, config)
