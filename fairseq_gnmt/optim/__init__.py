"""Optimizers and learning-rate schedules; importing the package registers them."""

from fairseq_gnmt.optim import adam, adam_then_sgd, warmup_step_decay  # noqa: F401
