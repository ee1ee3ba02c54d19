"""Hides messages of libraries: warnings that need no action, and fairseq's routine messages at each batch.

fairseq uses functions of hydra that hydra has deprecated, and asks for pinned memory without a GPU. fairseq-generate and
fairseq-interactive ignore fairseq's environment variable LOGLEVEL, because a task of fairseq sets up logging first.
"""

import logging
import os
import warnings

# Beginning of each message, and the module to which it is attributed; hydra attributes some to other modules.
WARNINGS = (
    ("", r"hydra\."),
    (r"\s*'config' is validated against ConfigStore", ""),
    ("'pin_memory' argument is set as true but no accelerator", ""),
)
# Loggers with routine messages; those of fairseq_task occur for each sentence of fairseq-interactive.
LOGGERS = ("hydra", "fairseq.tasks.fairseq_task")


def hide_messages_of_libraries() -> None:
    """Hides these messages, and with LOGLEVEL=WARNING all other routine messages.

    Filters of PYTHONWARNINGS and -W take precedence.
    """
    for message, module in WARNINGS:
        warnings.filterwarnings("ignore", message, UserWarning, module, append=True)
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    if level := os.environ.get("LOGLEVEL"):
        logging.getLogger().setLevel(level.upper())
