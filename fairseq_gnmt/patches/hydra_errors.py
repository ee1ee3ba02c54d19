"""Lets errors of fairseq-hydra-train reach the interpreter's hook.

hydra prints a traceback of its own and exits, unless an environment variable asks for the full error: a mistake of the
user would show a traceback instead of its sentence.
"""
import os


def raise_errors_through_hydra() -> None:
    """Asks hydra for full errors, unless the user has chosen."""
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
