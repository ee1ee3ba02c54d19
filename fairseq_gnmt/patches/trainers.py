"""Lets fairseq-train use the trainers of `fairseq_gnmt.trainers` where options ask for them."""

from fairseq.trainer import Trainer

from fairseq_gnmt.patches.commands import loaded_modules
from fairseq_gnmt.trainers.bmuf import BMUFTrainer
from fairseq_gnmt.trainers.vocabulary_parallel import VocabularyParallelTrainer


def choose_trainers() -> None:
    """Replaces the trainer's class in fairseq-train by a function that chooses one."""
    for module in loaded_modules("train"):
        vars(module)["Trainer"] = make_trainer


def make_trainer(cfg, *arguments) -> Trainer:
    """Returns the trainer for a configuration; called like fairseq's class."""
    if cfg.task.get("vocabulary_parallel", 1) > 1:
        return VocabularyParallelTrainer(cfg, *arguments)
    if cfg.optimization.use_bmuf and cfg.distributed_training.distributed_world_size > 1:
        return BMUFTrainer(cfg, *arguments)
    return Trainer(cfg, *arguments)
