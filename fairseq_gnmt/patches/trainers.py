"""Choice of the trainer in fairseq-train, by the options."""

from fairseq.trainer import Trainer
from omegaconf import DictConfig

from fairseq_gnmt.asynchronous.options import is_asynchronous
from fairseq_gnmt.asynchronous.trainer import AsynchronousTrainer
from fairseq_gnmt.patches.commands import loaded_modules
from fairseq_gnmt.trainers.bmuf import BMUFTrainer
from fairseq_gnmt.trainers.vocabulary_parallel import VocabularyParallelTrainer


def choose_trainers() -> None:
    """Replaces the trainer class in fairseq-train by a function that chooses one."""
    for module in loaded_modules("train"):
        vars(module)["Trainer"] = make_trainer


def make_trainer(cfg: DictConfig, *arguments) -> Trainer:
    """Returns the trainer for a configuration; has the signature of fairseq's class.

    Args:
        cfg: fairseq's configuration.
        arguments: further arguments of the trainer's class.
    """
    return trainer_class(cfg)(cfg, *arguments)


def trainer_class(cfg: DictConfig) -> type:
    """Returns the trainer class for a configuration."""
    if cfg.task.get("vocabulary_parallel", 1) > 1:
        return VocabularyParallelTrainer
    if is_asynchronous(cfg):
        return AsynchronousTrainer
    if cfg.optimization.use_bmuf and cfg.distributed_training.distributed_world_size > 1:
        return BMUFTrainer
    return Trainer
