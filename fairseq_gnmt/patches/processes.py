"""Termination of fairseq's commands by signals, without traceback, as Unix tools do, including child processes.

fairseq leaves Ctrl-C, SIGTERM and closed pipes to the interpreter, which prints tracebacks. Its messages to a closed
pipe are lost one by one while the training continues.
"""

import multiprocessing
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any, Callable, Dict, Optional

import fairseq_cli
from fairseq.distributed import utils as distributed_utils

from fairseq_gnmt.errors import explain
from gnmt.commands.process import end_by, ending_signal, prepare_process
from gnmt.errors import UserError

COMMANDS = Path(fairseq_cli.__path__[0])

fairseq_main = distributed_utils.distributed_main


def prepare_commands() -> None:
    """Prepares this process if it runs a command of fairseq, and the processes that fairseq starts for further GPUs.

    Other programs may import the plugin too; their signal handlers are not changed.
    """
    if command_is_running():
        prepare_process()
        os.environ["HYDRA_FULL_ERROR"] = "1"  # hydra then passes errors to `sys.excepthook`, which explains them
    distributed_utils.distributed_main = run_rank


def command_is_running() -> bool:
    """Returns True if a function of fairseq_cli is on the stack: fairseq's commands load the plugin themselves."""
    frame: Optional[FrameType] = sys._getframe()
    while frame is not None:
        if Path(frame.f_code.co_filename).parent == COMMANDS and frame.f_code.co_name != "<module>":
            return True
        frame = frame.f_back
    return False


def run_rank(index: int, main: Callable[..., None], cfg: Any, kwargs: Dict[str, Any]) -> None:
    """Runs fairseq's main function of one rank; explained errors become UserError, which torch passes to the parent.

    Data loader workers are forked, as in a training run of one process. A spawned rank would spawn them: each worker would
    import fairseq again in every epoch, and print a traceback for Ctrl-C during the import.

    Args:
        index: index of the process on this machine.
        main: fairseq's main function.
        cfg: fairseq's whole configuration.
        kwargs: further arguments of `main`.
    """
    prepare_process()
    spawned = not cfg.distributed_training.distributed_no_spawn
    if spawned and sys.platform == "linux":
        multiprocessing.set_start_method("fork", force=True)
    try:
        fairseq_main(index, main, cfg, kwargs)
    except KeyboardInterrupt as interruption:
        if not spawned:
            raise
        end_by(ending_signal(interruption) or signal.SIGINT)
    except Exception as error:
        sentence = explain(error, error.__traceback__)
        if sentence is None or type(error) is UserError:
            raise
        raise UserError(sentence) from error
