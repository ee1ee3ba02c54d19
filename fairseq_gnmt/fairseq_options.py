"""Treatment of fairseq's options: honoured, refused, or without effect; and their ranges. `fairseq_option_checks` applies it.

CLASSIFICATION contains every option of fairseq's commands; tests/plugin/test_fairseq_options.py compares it with
fairseq's parsers. An option counts as given if its value differs from fairseq's default.
"""

from enum import Enum
from typing import Any, Dict, NamedTuple, Optional, Tuple

from gnmt.ranges import Range

TASK = "gnmt_translation"
TRAIN, GENERATE, INTERACTIVE, VALIDATE, SCORE = "train", "generate", "interactive", "validate", "score"
TRANSLATION = f"{GENERATE} {INTERACTIVE}"
EVALUATION = f"{TRANSLATION} {VALIDATE}"
ALL = f"{TRAIN} {EVALUATION}"
FAIRSEQ_SEARCHES = "sampling diverse_beam_groups diversity_rate match_source_len constraints lm_path"


class Support(Enum):
    """Treatment of an option of fairseq."""

    HONOURED = "does what fairseq's help says"
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

# Options that several entries name.
LOGS = "log_file aim_repo aim_run_hash tensorboard_logdir wandb_project azureml_logging"
HALF_PRECISION = (
    "fp16_no_flatten_grads fp16_init_scale fp16_scale_window fp16_scale_tolerance "
    "on_cpu_convert_precision min_loss_scale threshold_loss_scale empty_cache_freq profile"
)
COMMUNICATION = (
    "distributed_num_procs distributed_backend distributed_init_method distributed_port device_id distributed_no_spawn"
)
GRADIENT_SHARING = (
    "ddp_backend ddp_comm_hook bucket_cap_mb fix_batches_to_gpus find_unused_parameters "
    "gradient_as_bucket_view heartbeat_timeout broadcast_buffers"
)
VALIDATION = (
    "train_subset combine_valid_subsets ignore_unused_valid_subsets validate_interval "
    "validate_interval_updates validate_after_updates fixed_validation_seed disable_validation "
    "max_tokens_valid batch_size_valid max_valid_steps curriculum grouped_shuffling "
    "update_ordered_indices_seed"
)
CHECKPOINTS = (
    "save_dir restore_file continue_once finetune_from_model reset_dataloader reset_lr_scheduler "
    "reset_meters reset_optimizer optimizer_overrides save_interval save_interval_updates "
    "keep_interval_updates keep_interval_updates_pattern keep_last_epochs keep_best_checkpoints no_save "
    "no_epoch_checkpoints no_last_checkpoints no_save_optimizer_state best_checkpoint_metric "
    "maximize_best_checkpoint_metric patience load_checkpoint_on_all_dp_ranks"
)
VALIDATION_BLEU = (
    "eval_bleu eval_bleu_args eval_bleu_detok eval_bleu_detok_args eval_tokenized_bleu "
    "eval_bleu_remove_bpe eval_bleu_print_samples"
)

CLASSIFICATION = (
    # -- every command
    Entry(HONOURED, ALL, "no_progress_bar log_interval log_format seed cpu fp16 memory_efficient_fp16 user_dir task"),
    Entry(HONOURED, TRAIN, LOGS),
    Entry(WITHOUT_EFFECT, EVALUATION, LOGS, "it is for the log of a training run"),
    Entry(HONOURED, TRAIN, "bf16 memory_efficient_bf16"),
    Entry(REFUSED, TRAIN, "amp", "fairseq unscales its gradients twice; use --fp16 or --bf16"),
    Entry(WITHOUT_EFFECT, TRAIN, "amp_batch_retries amp_init_scale amp_scale_window", "it is for --amp"),
    Entry(REFUSED, EVALUATION, "bf16 memory_efficient_bf16 amp", "translate and validate in float32 or with --fp16"),
    Entry(HONOURED, TRAIN, HALF_PRECISION),
    Entry(
        WITHOUT_EFFECT,
        EVALUATION,
        f"{HALF_PRECISION} amp_batch_retries amp_init_scale amp_scale_window",
        "it is for the gradients of a training run",
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
    Entry(HONOURED, f"{TRAIN} {VALIDATE}", COMMUNICATION),
    Entry(WITHOUT_EFFECT, TRANSLATION, COMMUNICATION, "processes that translate do not communicate"),
    Entry(HONOURED, TRAIN, GRADIENT_SHARING),
    Entry(WITHOUT_EFFECT, EVALUATION, GRADIENT_SHARING, "it is for the gradients of a training run"),
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
    Entry(HONOURED, TRAIN, VALIDATION),
    Entry(WITHOUT_EFFECT, TRANSLATION, VALIDATION, "it is for training"),
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
    Entry(HONOURED, TRAIN, CHECKPOINTS),
    Entry(WITHOUT_EFFECT, TRANSLATION, CHECKPOINTS, "translation has --path"),
    Entry(HONOURED, f"{TRAIN} {TRANSLATION}", "checkpoint_suffix"),
    Entry(HONOURED, TRANSLATION, "checkpoint_shard_count"),
    Entry(WITHOUT_EFFECT, TRAIN, "checkpoint_shard_count", "a training run writes one file"),
    Entry(REFUSED, TRAIN, "write_checkpoints_asynchronously", "a checkpoint is written before the training goes on"),
    Entry(WITHOUT_EFFECT, TRANSLATION, "write_checkpoints_asynchronously", "translation writes no checkpoint"),
    # -- evaluation
    Entry(HONOURED, EVALUATION, "path model_overrides"),
    Entry(HONOURED, TRANSLATION, "post_process results_path"),
    Entry(HONOURED, GENERATE, "quiet"),
    Entry(REFUSED, INTERACTIVE, "quiet", "it would leave nothing to print"),
    Entry(WITHOUT_EFFECT, VALIDATE, "post_process quiet", "fairseq-validate prints no text"),
    Entry(REFUSED, VALIDATE, "results_path", "fairseq-validate writes no file; redirect its output"),
    # -- search (fairseq itself sets no_seed_provided)
    Entry(
        HONOURED,
        TRANSLATION,
        "beam nbest max_len_a max_len_b min_len unkpen temperature no_repeat_ngram_size "
        "print_alignment replace_unk sampling diverse_beam_groups diversity_rate match_source_len "
        "no_seed_provided",
    ),
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
    Entry(HONOURED, f"{TRAIN} {VALIDATE}", VALIDATION_BLEU),
    Entry(WITHOUT_EFFECT, TRANSLATION, VALIDATION_BLEU, "it is for validation during training"),
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


def entry_of(command: str, option: str) -> Optional[Entry]:
    """Returns the entry of an option for a command; None if there is none.

    Args:
        command: "train", "generate", "interactive" or "validate".
        option: name with underscores.
    """
    return next((entry for entry in CLASSIFICATION if not entry.values and entry.covers(command, option)), None)


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
                value_text = "" if value is True else f" {value}"
                return f"--{option.replace('_', '-')}{value_text} is not supported in fairseq-{command} with GNMT: {entry.remark}."
    return None
