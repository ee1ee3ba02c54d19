"""Every change that the plugin makes to fairseq, torch or the interpreter, with its reason; `apply` makes them all."""
from fairseq_gnmt import errors
from fairseq_gnmt.patches.checkpoint_reading import allow_fairseq_checkpoints
from fairseq_gnmt.patches.checkpoint_writing import copy_checkpoints_whole
from fairseq_gnmt.patches.generate import write_complete_results
from fairseq_gnmt.patches.interactive import answer_every_line
from fairseq_gnmt.patches.line_reading import read_lines_as_the_core


def apply() -> None:
    """Applies every patch; the plugin calls it once, before it registers anything.

    The patches that replace the `main` of a command come before any that wrap it.
    """
    answer_every_line()
    write_complete_results()
    allow_fairseq_checkpoints()
    copy_checkpoints_whole()
    read_lines_as_the_core()
    errors.install_hook()
