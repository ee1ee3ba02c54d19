"""Options that cannot be combined with --vocabulary-parallel and --use-bmuf, each with its reason."""

from typing import Any, Dict

from omegaconf import DictConfig

from gnmt.errors import UserError

HALF_PRECISIONS = ("fp16", "bf16", "memory_efficient_fp16", "memory_efficient_bf16")
IN_FLOAT32 = dict.fromkeys(HALF_PRECISIONS, "it trains in float32")
WITH_VOCABULARY_PARALLEL = {
    **IN_FLOAT32,
    "store_ema": "a process could average only its share of the weights; average checkpoints instead (gnmt average)",
    "use_bmuf": "BMUF's replicas are whole models; give one of them",
    "asynchronous_replicas": "asynchronous replicas are whole models; give one of them",
    "fix_batches_to_gpus": "all processes read the same batches",
}
WITH_BMUF = {
    **IN_FLOAT32,
    "store_ema": "each replica would average its own weights; average checkpoints instead (gnmt average)",
    "asynchronous_replicas": "both decide when replicas exchange their weights; give one of them",
    "layer_devices": "the replicas exchange the weights of one device",
}
CRITERION, ARCHITECTURES = "gnmt_label_smoothed_cross_entropy", "gnmt"


def check_parallel_options(cfg: DictConfig, given: Dict[str, Any]) -> None:
    """Checks combinations of options of a training run.

    Args:
        cfg: the whole configuration (FairseqConfig) of fairseq-train.
        given: values of all options that differ from their defaults.

    Raises:
        UserError: for options that cannot be combined.
    """
    processes = cfg.distributed_training.distributed_world_size
    shards = given.get("vocabulary_parallel", 1)
    if shards > 1:
        _refuse(f"--vocabulary-parallel {shards}", WITH_VOCABULARY_PARALLEL, given)
        if processes != shards:
            raise UserError(
                f"--vocabulary-parallel {shards} divides the output layer over all processes of the training, but "
                f"--distributed-world-size is {processes}: give both the same number."
            )
        if cfg.criterion._name != CRITERION:
            raise UserError(f"--vocabulary-parallel {shards} needs --criterion {CRITERION}, not {cfg.criterion._name}.")
        if not str(cfg.model._name).startswith(ARCHITECTURES):
            raise UserError(f"--vocabulary-parallel {shards} needs an --arch of GNMT, not {cfg.model._name}.")
    if given.get("use_bmuf"):
        _refuse("--use-bmuf", WITH_BMUF, given)
        if processes == 1:
            raise UserError("--use-bmuf averages replicas: give --distributed-world-size 2 or more, or leave it out.")


def _refuse(option: str, refused: Dict[str, str], given: Dict[str, Any]) -> None:
    for name, reason in refused.items():
        if name in given:
            raise UserError(f"--{name.replace('_', '-')} cannot be combined with {option}: {reason}.")
