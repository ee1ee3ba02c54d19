"""Treatment of fairseq's options: honoured, refused, or without effect; and their ranges.

CLASSIFICATION contains every option of fairseq's commands; tests/plugin/test_fairseq_options.py compares it with
fairseq's parsers. An option counts as given if its value differs from fairseq's default.
"""

import ast
import dataclasses
import importlib.util
from enum import Enum
from typing import Any, Dict, Iterator, NamedTuple, Optional, Sequence, Tuple

from fairseq.dataclass.configs import FairseqConfig, GenerationConfig
from fairseq.models import MODEL_DATACLASS_REGISTRY
from fairseq.registry import REGISTRIES
from fairseq.tasks import TASK_DATACLASS_REGISTRY
from omegaconf import DictConfig, ListConfig

from fairseq_gnmt.parallel_options import check_parallel_options
from gnmt.errors import UserError
from gnmt.ranges import LARGEST, Range, check_ranges
from gnmt.search.options import SearchOptions

TASK = "gnmt_translation"
TRAIN, GENERATE, INTERACTIVE, VALIDATE, SCORE = "train", "generate", "interactive", "validate", "score"
TRANSLATION = f"{GENERATE} {INTERACTIVE}"
EVALUATION = f"{TRANSLATION} {VALIDATE}"
ALL = f"{TRAIN} {EVALUATION}"
FAIRSEQ_SEARCHES = "sampling diverse_beam_groups diversity_rate match_source_len constraints lm_path"


class Support(Enum):
    """Treatment of an option of fairseq."""

    HONOURED = "works as described in fairseq's help"
    REFUSED = "is an error"
    WITHOUT_EFFECT = "is accepted, and changes nothing"


class Entry(NamedTuple):
    """Options with equal treatment."""

    support: Support
    commands: str
    options: str
    remark: str = ""  # the alternative to a refused option; the reason for an option without effect
    unless: str = ""  # options; if one of them is given, the entry's options are honoured
    values: Tuple[str, ...] = ()  # only these values are refused

    def covers(self, command: str, option: str) -> bool:
        """Returns True if the entry applies to an option of a command."""
        return command in self.commands.split() and option in self.options.split()


HONOURED, REFUSED, WITHOUT_EFFECT = Support

CLASSIFICATION = (
    # -- every command
    Entry(HONOURED, ALL, "no_progress_bar log_interval log_format seed cpu fp16 memory_efficient_fp16 user_dir task"),
    Entry(HONOURED, TRAIN, "log_file aim_repo aim_run_hash tensorboard_logdir wandb_project azureml_logging"),
    Entry(
        WITHOUT_EFFECT,
        EVALUATION,
        "log_file aim_repo aim_run_hash tensorboard_logdir wandb_project azureml_logging",
        "it is for the log of a training",
    ),
    Entry(HONOURED, TRAIN, "bf16 memory_efficient_bf16"),
    Entry(REFUSED, TRAIN, "amp", "fairseq unscales its gradients twice; use --fp16 or --bf16"),
    Entry(WITHOUT_EFFECT, TRAIN, "amp_batch_retries amp_init_scale amp_scale_window", "it is for --amp"),
    Entry(REFUSED, EVALUATION, "bf16 memory_efficient_bf16 amp", "translate and validate in float32 or with --fp16"),
    Entry(
        HONOURED,
        TRAIN,
        "fp16_no_flatten_grads fp16_init_scale fp16_scale_window fp16_scale_tolerance "
        "on_cpu_convert_precision min_loss_scale threshold_loss_scale empty_cache_freq profile",
    ),
    Entry(
        WITHOUT_EFFECT,
        EVALUATION,
        "fp16_no_flatten_grads fp16_init_scale fp16_scale_window fp16_scale_tolerance "
        "on_cpu_convert_precision min_loss_scale threshold_loss_scale empty_cache_freq profile "
        "amp_batch_retries amp_init_scale amp_scale_window",
        "it is for the gradients of a training",
    ),
    Entry(REFUSED, ALL, "tpu", "train and translate on GPUs, or give --cpu", unless="bf16"),
    Entry(
        REFUSED, ALL, "model_parallel_size", "GNMT fits on one GPU; several share the batch (--distributed-world-size)"
    ),
    Entry(
        REFUSED, ALL, "quantization_config_path", "train with --activation-clip 1.0 and translate with --precision int8"
    ),
    Entry(REFUSED, ALL, "use_plasma_view", "it is for language models"),
    Entry(WITHOUT_EFFECT, ALL, "plasma_path", "it is for language models"),
    Entry(HONOURED, TRAIN, "reset_logging suppress_crashes"),  # options of fairseq-hydra-train
    Entry(WITHOUT_EFFECT, EVALUATION, "reset_logging suppress_crashes", "it is for fairseq-hydra-train"),
    Entry(HONOURED, f"{TRAIN} {VALIDATE}", "all_gather_list_size"),
    Entry(WITHOUT_EFFECT, TRANSLATION, "all_gather_list_size", "processes that translate do not communicate"),
    # -- components; options added by a component are not listed
    Entry(HONOURED, TRAIN, "arch criterion optimizer lr_scheduler"),
    Entry(WITHOUT_EFFECT, EVALUATION, "arch criterion optimizer lr_scheduler", "the checkpoint has it"),
    Entry(HONOURED, TRANSLATION, "bpe tokenizer"),
    Entry(
        WITHOUT_EFFECT,
        f"{TRAIN} {VALIDATE}",
        "bpe tokenizer",
        "validation BLEU has --eval-bleu-remove-bpe, --eval-bleu-detok",
    ),
    Entry(HONOURED, GENERATE, "scoring"),
    Entry(WITHOUT_EFFECT, f"{TRAIN} {INTERACTIVE} {VALIDATE}", "scoring", "there is nothing to score"),
    # -- processes
    Entry(HONOURED, f"{TRAIN} {GENERATE} {VALIDATE}", "distributed_world_size distributed_rank"),
    Entry(REFUSED, INTERACTIVE, "distributed_world_size", "give each process a part of the text"),
    Entry(WITHOUT_EFFECT, INTERACTIVE, "distributed_rank", "one process translates"),
    Entry(
        HONOURED,
        f"{TRAIN} {VALIDATE}",
        "distributed_num_procs distributed_backend distributed_init_method "
        "distributed_port device_id distributed_no_spawn",
    ),
    Entry(
        WITHOUT_EFFECT,
        TRANSLATION,
        "distributed_num_procs distributed_backend distributed_init_method "
        "distributed_port device_id distributed_no_spawn",
        "processes that translate do not communicate",
    ),
    Entry(
        HONOURED,
        TRAIN,
        "ddp_backend ddp_comm_hook bucket_cap_mb fix_batches_to_gpus find_unused_parameters "
        "gradient_as_bucket_view heartbeat_timeout broadcast_buffers",
    ),
    Entry(
        WITHOUT_EFFECT,
        EVALUATION,
        "ddp_backend ddp_comm_hook bucket_cap_mb fix_batches_to_gpus find_unused_parameters "
        "gradient_as_bucket_view heartbeat_timeout broadcast_buffers",
        "it is for the gradients of a training",
    ),
    Entry(WITHOUT_EFFECT, ALL, "fast_stat_sync nprocs_per_node", "fairseq does not use it any more"),
    Entry(REFUSED, TRAIN, "ddp_backend", "use pytorch_ddp, or legacy_ddp on a CPU", values=("fully_sharded", "slowmo")),
    Entry(
        REFUSED,
        ALL,
        "zero_sharding cpu_offload no_reshard_after_forward fp32_reduce_scatter use_sharded_state "
        "not_fsdp_flatten_parameters",
        "GNMT fits on one GPU, so its parameters are not sharded",
    ),
    Entry(
        REFUSED,
        ALL,
        "slowmo_momentum slowmo_base_algorithm localsgd_frequency",
        "use pytorch_ddp, or legacy_ddp on a CPU",
    ),
    Entry(
        REFUSED,
        ALL,
        "pipeline_model_parallel pipeline_balance pipeline_devices pipeline_chunks pipeline_checkpoint "
        "pipeline_encoder_balance pipeline_encoder_devices pipeline_decoder_balance pipeline_decoder_devices",
        "GNMT fits on one GPU; several share the batch (--distributed-world-size)",
    ),
    # -- data
    Entry(HONOURED, ALL, "max_tokens batch_size data skip_invalid_size_inputs_valid_test"),
    Entry(HONOURED, f"{TRAIN} {GENERATE} {VALIDATE}", "num_workers data_buffer_size dataset_impl"),
    Entry(WITHOUT_EFFECT, INTERACTIVE, "num_workers data_buffer_size dataset_impl", "the text is read line by line"),
    Entry(
        REFUSED,
        f"{TRAIN} {GENERATE} {VALIDATE}",
        "dataset_impl",
        "fairseq-preprocess writes mmap, cached, lazy and raw",
        values=("fasta",),
    ),
    Entry(HONOURED, TRAIN, "required_batch_size_multiple required_seq_len_multiple"),
    Entry(
        WITHOUT_EFFECT,
        EVALUATION,
        "required_batch_size_multiple required_seq_len_multiple",
        "a translation does not depend on its batch, and no sentence is dropped",
    ),
    Entry(
        HONOURED,
        TRAIN,
        "train_subset combine_valid_subsets ignore_unused_valid_subsets validate_interval "
        "validate_interval_updates validate_after_updates fixed_validation_seed disable_validation max_tokens_valid "
        "batch_size_valid max_valid_steps curriculum grouped_shuffling update_ordered_indices_seed",
    ),
    Entry(
        WITHOUT_EFFECT,
        TRANSLATION,
        "train_subset combine_valid_subsets ignore_unused_valid_subsets validate_interval "
        "validate_interval_updates validate_after_updates fixed_validation_seed disable_validation max_tokens_valid "
        "batch_size_valid max_valid_steps curriculum grouped_shuffling update_ordered_indices_seed",
        "it is for training",
    ),
    Entry(
        WITHOUT_EFFECT,
        VALIDATE,
        "train_subset ignore_unused_valid_subsets validate_interval validate_interval_updates "
        "validate_after_updates fixed_validation_seed disable_validation max_tokens_valid batch_size_valid curriculum "
        "grouped_shuffling update_ordered_indices_seed",
        "it is for training",
    ),
    Entry(REFUSED, VALIDATE, "combine_valid_subsets", "name the subsets: --valid-subset valid,valid1"),
    Entry(REFUSED, VALIDATE, "max_valid_steps", "fairseq-validate reads the whole subset"),
    Entry(WITHOUT_EFFECT, ALL, "update_epoch_batch_itr", "batches are made anew in every epoch"),
    Entry(HONOURED, f"{TRAIN} {VALIDATE}", "valid_subset"),
    Entry(WITHOUT_EFFECT, TRANSLATION, "valid_subset", "fairseq-generate has --gen-subset"),
    Entry(HONOURED, GENERATE, "gen_subset num_shards"),
    Entry(REFUSED, GENERATE, "shard_id", "--num-shards must be larger", unless="num_shards"),
    Entry(WITHOUT_EFFECT, f"{TRAIN} {INTERACTIVE} {VALIDATE}", "gen_subset", "it is for fairseq-generate"),
    Entry(
        REFUSED,
        f"{TRAIN} {VALIDATE}",
        "num_shards shard_id",
        "processes share the data with --distributed-world-size and --distributed-rank",
    ),
    Entry(REFUSED, INTERACTIVE, "num_shards shard_id", "give each process a part of the text"),
    # -- optimisation
    Entry(
        HONOURED,
        TRAIN,
        "max_epoch max_update stop_time_hours clip_norm sentence_avg update_freq lr stop_min_lr use_bmuf "
        "skip_remainder_batch debug_param_names store_ema",
    ),
    Entry(HONOURED, TRAIN, "block_lr block_momentum global_sync_iter warmup_iterations use_nbm average_sync"),
    Entry(
        REFUSED,
        TRAIN,
        "ema_decay ema_start_update ema_seed_model ema_update_freq ema_fp32",
        "give --store-ema, too",
        unless="store_ema",
    ),
    # -- checkpoints
    Entry(
        HONOURED,
        TRAIN,
        "save_dir restore_file continue_once finetune_from_model reset_dataloader reset_lr_scheduler "
        "reset_meters reset_optimizer optimizer_overrides save_interval save_interval_updates keep_interval_updates "
        "keep_interval_updates_pattern keep_last_epochs keep_best_checkpoints no_save no_epoch_checkpoints "
        "no_last_checkpoints no_save_optimizer_state best_checkpoint_metric maximize_best_checkpoint_metric patience "
        "load_checkpoint_on_all_dp_ranks",
    ),
    Entry(
        WITHOUT_EFFECT,
        TRANSLATION,
        "save_dir restore_file continue_once finetune_from_model reset_dataloader "
        "reset_lr_scheduler reset_meters reset_optimizer optimizer_overrides save_interval save_interval_updates "
        "keep_interval_updates keep_interval_updates_pattern keep_last_epochs keep_best_checkpoints no_save "
        "no_epoch_checkpoints no_last_checkpoints no_save_optimizer_state best_checkpoint_metric "
        "maximize_best_checkpoint_metric patience load_checkpoint_on_all_dp_ranks",
        "translation has --path",
    ),
    Entry(HONOURED, f"{TRAIN} {TRANSLATION}", "checkpoint_suffix"),
    Entry(HONOURED, TRANSLATION, "checkpoint_shard_count"),
    Entry(WITHOUT_EFFECT, TRAIN, "checkpoint_shard_count", "a training writes one file"),
    Entry(REFUSED, TRAIN, "write_checkpoints_asynchronously", "a checkpoint is written before the training goes on"),
    Entry(WITHOUT_EFFECT, TRANSLATION, "write_checkpoints_asynchronously", "translation writes no checkpoint"),
    # -- evaluation
    Entry(HONOURED, EVALUATION, "path model_overrides"),
    Entry(HONOURED, TRANSLATION, "post_process results_path"),
    Entry(HONOURED, GENERATE, "quiet"),
    Entry(REFUSED, INTERACTIVE, "quiet", "it would leave nothing to print"),
    Entry(WITHOUT_EFFECT, VALIDATE, "post_process quiet", "fairseq-validate prints no text"),
    Entry(REFUSED, VALIDATE, "results_path", "fairseq-validate writes no file; redirect its output"),
    # -- search
    Entry(
        HONOURED,
        TRANSLATION,
        "beam nbest max_len_a max_len_b min_len unkpen temperature no_repeat_ngram_size "
        "print_alignment replace_unk sampling diverse_beam_groups diversity_rate match_source_len "
        "no_seed_provided",
    ),  # fairseq sets the last one
    Entry(HONOURED, GENERATE, "prefix_size score_reference sacrebleu lm_path"),
    Entry(
        REFUSED,
        INTERACTIVE,
        "prefix_size score_reference",
        "fairseq-interactive has no references; use fairseq-generate",
    ),
    Entry(WITHOUT_EFFECT, INTERACTIVE, "sacrebleu", "fairseq-interactive has no references"),
    Entry(
        REFUSED, INTERACTIVE, "lm_path lm_weight", "fairseq-interactive reads no language model; use fairseq-generate"
    ),
    Entry(REFUSED, GENERATE, "lm_weight", "give --lm-path, too", unless="lm_path"),
    Entry(HONOURED, INTERACTIVE, "constraints"),
    Entry(REFUSED, GENERATE, "constraints", "binarised data has none; use fairseq-interactive"),
    Entry(REFUSED, TRANSLATION, "sampling_topk sampling_topp", "give --sampling, too", unless="sampling"),
    Entry(
        REFUSED, TRANSLATION, "diverse_beam_strength", "give --diverse-beam-groups, too", unless="diverse_beam_groups"
    ),
    Entry(
        REFUSED, TRANSLATION, "lenpen", "GNMT's length normalisation is --length-norm-factor", unless=FAIRSEQ_SEARCHES
    ),
    Entry(
        REFUSED, TRANSLATION, "unnormalized", "use --length-norm-factor 0 --coverage-penalty 0", unless=FAIRSEQ_SEARCHES
    ),
    Entry(REFUSED, TRANSLATION, "no_early_stop", "a sentence stops early only when its n-best cannot change any more"),
    Entry(REFUSED, TRANSLATION, "retain_dropout retain_dropout_modules", "translation runs without dropout"),
    Entry(
        REFUSED,
        TRANSLATION,
        "print_step retain_iter_history decoding_format iter_decode_eos_penalty "
        "iter_decode_force_max_iter iter_decode_max_iter iter_decode_with_beam iter_decode_with_external_reranker",
        "it is for iterative refinement models",
    ),
    Entry(REFUSED, TRANSLATION, "beam_mt lenpen_mt max_len_a_mt max_len_b_mt eos_token", "it is for speech"),
    Entry(WITHOUT_EFFECT, TRANSLATION, "no_beamable_mm", "fairseq does not use it any more"),
    Entry(HONOURED, INTERACTIVE, "buffer_size input"),
    # -- the task
    Entry(HONOURED, ALL, "source_lang target_lang nvidia_conventions max_source_positions max_target_positions"),
    Entry(HONOURED, f"{TRAIN} {GENERATE} {VALIDATE}", "left_pad_source"),
    Entry(WITHOUT_EFFECT, INTERACTIVE, "left_pad_source", "a translation does not depend on padding"),
    Entry(HONOURED, TRAIN, "upsample_primary"),
    Entry(WITHOUT_EFFECT, EVALUATION, "upsample_primary", "it is for training"),
    Entry(HONOURED, ALL, "truncate_source"),
    Entry(REFUSED, ALL, "left_pad_target", "the decoder reads a target from its first token; leave the option out"),
    Entry(REFUSED, ALL, "load_alignments", "GNMT learns its attention without given alignments"),
    Entry(REFUSED, ALL, "num_batch_buckets", "it is for TPUs; batches of similar lengths are the default"),
    Entry(
        HONOURED,
        f"{TRAIN} {VALIDATE}",
        "eval_bleu eval_bleu_args eval_bleu_detok eval_bleu_detok_args "
        "eval_tokenized_bleu eval_bleu_remove_bpe eval_bleu_print_samples",
    ),
    Entry(
        WITHOUT_EFFECT,
        TRANSLATION,
        "eval_bleu eval_bleu_args eval_bleu_detok eval_bleu_detok_args "
        "eval_tokenized_bleu eval_bleu_remove_bpe eval_bleu_print_samples",
        "it is for validation during training",
    ),
    Entry(HONOURED, EVALUATION, "length_norm_factor length_norm_const coverage_penalty prune_tokens prune_hypotheses"),
    Entry(HONOURED, TRAIN, "length_norm_factor length_norm_const coverage_penalty prune_tokens prune_hypotheses"),
    Entry(HONOURED, EVALUATION, "precision quantize"),
    Entry(REFUSED, TRAIN, "precision", "it is for translation; train with --fp16 or --bf16"),
    Entry(REFUSED, TRAIN, "quantize", "it is for translation; leave it out in training"),
    Entry(HONOURED, TRAIN, "train_max_length pretrained_embeddings vocabulary_parallel"),
    Entry(REFUSED, EVALUATION, "vocabulary_parallel", "checkpoints are whole, and one process translates with them"),
    Entry(WITHOUT_EFFECT, EVALUATION, "train_max_length pretrained_embeddings", "it is for training"),
    Entry(HONOURED, TRAIN, "layer_devices time_chunks"),
    Entry(WITHOUT_EFFECT, EVALUATION, "layer_devices time_chunks", "translation and validation use one device"),
    Entry(HONOURED, TRAIN, "asynchronous_replicas"),
    Entry(
        REFUSED,
        TRAIN,
        "max_staleness parameter_servers",
        "give --asynchronous-replicas, too",
        unless="asynchronous_replicas",
    ),
    Entry(WITHOUT_EFFECT, EVALUATION, "asynchronous_replicas max_staleness parameter_servers", "it is for training"),
    # -- fairseq-score, which loads no plugin; its --sentence-bleu fails, and `gnmt score` replaces it
    Entry(HONOURED, SCORE, "sys ref order ignore_case sacrebleu sentence_bleu"),
)
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
# Defaults that depend on the machine or on other options
NEUTRAL = {"distributed_world_size": 1, "batch_size_valid": None, "max_tokens_valid": None}

RANGES: Dict[str, Range] = {
    **{name: Range(1) for name in ("max_tokens", "batch_size", "max_tokens_valid", "batch_size_valid", "update_freq",
                                   "required_batch_size_multiple", "log_interval", "num_shards", "distributed_world_size",
                                   "checkpoint_shard_count",
                                   "validate_interval", "save_interval", "max_source_positions", "max_target_positions")},
    **{name: Range(0) for name in ("num_workers", "prefix_size", "shard_id", "max_update", "max_epoch", "clip_norm",
                                   "buffer_size", "distributed_rank", "stop_time_hours")},
    "lr": Range(0, 1000),
    "global_sync_iter": Range(1),
    "warmup_iterations": Range(0),
    "block_momentum": Range(0, 1, below=True),
    "block_lr": Range(0, 1000, above=True),
}  # fmt: skip
ANY_NUMBER = Range(-LARGEST, LARGEST)


def entry_of(command: str, option: str) -> Optional[Entry]:
    """Returns the entry of an option for a command; None if there is none.

    Args:
        command: "train", "generate", "interactive" or "validate".
        option: name with underscores.
    """
    return next((entry for entry in CLASSIFICATION if not entry.values and entry.covers(command, option)), None)


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
        if cfg.distributed_training.distributed_world_size > 1 and cfg.dataset.num_shards > 1:
            raise UserError("--num-shards and --distributed-world-size both share the data out: give one of them.")
        if not cfg.dataset.shard_id < cfg.dataset.num_shards:
            raise UserError(
                f"--shard-id is {cfg.dataset.shard_id}, but must be below --num-shards, {cfg.dataset.num_shards}."
            )
    check_dictionary("model_overrides", cfg.common_eval.model_overrides)
    check_dictionary("optimizer_overrides", cfg.checkpoint.optimizer_overrides)
    check_numbers(cfg)
    if command in TRANSLATION.split():
        found = {
            option.name: cfg.generation.get(option.name, cfg.task.get(option.name))
            for option in dataclasses.fields(SearchOptions)
        }
        SearchOptions(**{name: value for name, value in found.items() if value is not None})


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


def refusal(command: str, option: str, given: Dict[str, Any]) -> Optional[str]:
    """Returns the reason for which a command refuses an option; None if it accepts the option.

    Args:
        command: "train", "generate", "interactive" or "validate".
        option: name with underscores.
        given: values of all options that differ from their defaults, including this one.
    """
    value = given[option]
    for entry in CLASSIFICATION:
        if entry.support is REFUSED and entry.covers(command, option) and not set(entry.unless.split()) & given.keys():
            if not entry.values or str(value) in entry.values:
                shown = "" if value is True else f" {value}"
                return f"--{option.replace('_', '-')}{shown} has no use in fairseq-{command} with GNMT: {entry.remark}."
    return None


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
        declared = dataclass_of(group, config)
        if declared is not None:
            check_ranges(declared, config)


def check_dictionary(option: str, text: str) -> None:
    """Checks that the text of an option is a dictionary in Python's notation.

    Raises:
        UserError: if it is not.
    """
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise UserError(
            f"--{option.replace('_', '-')} is no dictionary ({error}): write \"{{'dropout': 0.1}}\"."
        ) from error
    if not isinstance(value, dict):
        raise UserError(f"--{option.replace('_', '-')} is no dictionary ({text}): write \"{{'dropout': 0.1}}\".")


def check_architecture_options(cfg: DictConfig) -> None:
    """Refuses network options in fairseq-generate, which accepts options of wav2vec 2.0 and ignores them.

    Raises:
        UserError: for the first such option.
    """
    declared = dataclass_of("model", cfg.model) if isinstance(cfg.model, DictConfig) else None
    for field in dataclasses.fields(declared) if declared else ():
        value = cfg.model.get(field.name)
        shared = field.name == "_name" or entry_of(GENERATE, field.name) is not None or _is_interpolation(field.default)
        if not shared and _differs(value, _default(field)):
            raise UserError(
                f"--{field.name.replace('_', '-')} {value} has no use in fairseq-generate: the checkpoint has the options of "
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
    declared = FairseqConfig.__dataclass_fields__.get(group)
    return declared.type if declared is not None and dataclasses.is_dataclass(declared.type) else None


def _default(field: dataclasses.Field) -> Any:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def _differs(value: Any, default: Any) -> bool:
    return value != default and str(value) != str(default)  # a choice may be an enumeration member or a string


def _is_interpolation(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("${")
