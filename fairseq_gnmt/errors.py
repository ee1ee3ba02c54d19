"""One-line messages, without traceback, for errors of fairseq and torch that users can correct."""

import re
import signal
import sys
import traceback
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Optional, Type

from torch.multiprocessing.spawn import ProcessRaisedException

from gnmt.commands.process import ending_signal, output_is_full, show_traceback, unwritten
from gnmt.errors import UserError, one_line


class KnownError(NamedTuple):
    """Error of fairseq or torch that a user can correct."""

    function: str  # name of a function on the stack
    fragment: str  # part of the message of the error
    explanation: str  # message for the user; may contain {message} and local variables of the function


JSON_EXAMPLE = """write --eval-bleu-args '{{"beam": 5}}'."""
GPU_ONLY = "--fp16, --profile and several --distributed-world-size need GPUs: leave them out and give --cpu."
# The first entry that matches an error explains it.
KNOWN_ERRORS = (
    KnownError(
        "loads",
        "(char ",  # end of json's messages
        f"an option that takes JSON has none ({{message}}): {JSON_EXAMPLE}",
    ),
    KnownError("build_model", "must be a mapping", f"an option that takes JSON has no object: {JSON_EXAMPLE}"),
    KnownError("main", "Seed must be between", "--seed: {message}."),
    KnownError(
        "eval_str_list",
        "",
        "{x!r} is not a number or a list of numbers, as --lr, --update-freq and other options require ({message}).",
    ),
    KnownError(
        "merge_with_parent",
        "full_key:",
        "an option has a value of the wrong type ({message}): check --model-overrides.",
    ),
    KnownError("parse_args_and_arch", "None", "give --task gnmt_translation, the task of the model."),
    KnownError("convert_namespace_to_omegaconf", "", "an option has a value of the wrong type: {message}."),
    KnownError("raise_if_valid_subsets_unintentionally_ignored", "", "{message}"),
    KnownError(
        "load_dataset",
        "--dataset-impl is configured properly",
        "--dataset-impl differs from the format of the data: leave the option out, and fairseq detects the format.",
    ),
    KnownError(
        "_main",
        "division by zero",
        "there was no sentence to translate: shards are made of batches, so give a smaller --batch-size or fewer shards.",
    ),
    KnownError(
        "load_checkpoint",
        "Cannot load model parameters",
        "{message} Its architecture and sizes must equal --arch: start in a new --save-dir.",
    ),
    KnownError(
        "load_checkpoint",
        "dataloader mismatch",
        "{checkpoint_path} was written with other data or batches: give the same --batch-size and --max-tokens, or "
        "continue at the start of the data with --reset-dataloader.",
    ),
    KnownError(
        "load_checkpoint",
        "can not be specified together",
        "--finetune-from-model and --restore-file both name the checkpoint to start from: give one of them.",
    ),
    KnownError("load_checkpoint", "does not exist", "{message}: name a checkpoint of fairseq-train."),
    KnownError("load_checkpoint", "does not match; please reset", "{message}: or start in a new --save-dir."),
    KnownError("verify_checkpoint_directory", "", "{message}: --save-dir must be a folder that can be written."),
    KnownError(
        "load_model_ensemble_and_task", "not found", "{message}: --path must name checkpoints of fairseq-train."
    ),
    KnownError(
        "load_model_ensemble_and_task",
        "Could not infer task type",
        "{filename} is of an unknown task: give the --user-dir that contains the task.",
    ),
    KnownError(
        "load_model_ensemble_and_task",
        "size mismatch",
        "{filename} was trained with another dictionary: give the folder of fairseq-preprocess that it was trained on.",
    ),
    KnownError("infer_language_pair", "", "{message}: give the folder that fairseq-preprocess has written."),
    KnownError("setup_task", "Could not infer language pair", "{paths[0]} has no data of fairseq-preprocess."),
    KnownError("load_dictionary", "", "{message}: fairseq-preprocess writes a dictionary of each language."),
    KnownError("load_dataset", "not found", "{message}: fairseq-preprocess writes it when it is given its text."),
    KnownError(
        "load_align_dict", "", "{message}: --replace-unk alone copies source words, with a file it looks them up."
    ),
    KnownError(
        "read_data", "", "{path} is not UTF-8 ({message}): convert it, for example with iconv -f latin1 -t utf-8."
    ),
    KnownError("build_bpe", "", "{message}: --sentencepiece-model must name the subword model of the training data."),
    KnownError(
        "build_x", "codec can't decode", "{message}: --bpe-codes must name the text file of `subword-nmt learn-bpe`."
    ),
    KnownError("_open", "", "{message}: --log-file must name a file that can be written."),
    KnownError("build_x", "Please install", "{message}, or leave the option out."),
    KnownError(
        "post_process",
        "",
        "{message}: text is joined by sentencepiece, subword_nmt, '@@ ' or one of fairseq's others; words and "
        "mixed_word_char are names for --bpe and --eval-bleu-remove-bpe.",
    ),
    KnownError("batch_by_size", "max_tokens", "{message}: raise --max-tokens, or give --batch-size instead."),
    KnownError(
        "batch_by_size",
        "index out of range",
        "no sentence pairs are left: raise --train-max-length, or give more text.",
    ),
    KnownError(
        "filter_indices_by_size", "is invalid", "{message}, or raise --max-source-positions and --max-target-positions."
    ),
    KnownError("infer_init_method", "", f"{{message}}: {GPU_ONLY}"),
    KnownError("_lazy_init", "", f"{{message}}: {GPU_ONLY}"),
    KnownError("step", "DiverseBeamSearch requires", "{message}."),
    KnownError("makedirs", "", "{message}: name a folder that can be written."),
    KnownError(
        "handler",
        "DataLoader worker",  # torch's handler of SIGCHLD
        "{message}: perhaps the memory was not enough. Give a smaller --num-workers.",
    ),
    KnownError(
        "__init__",
        "Source and target must contain the same number of examples",
        "{message}: binarise both languages again with fairseq-preprocess.",
    ),
    KnownError("_call_impl", "could not create a primitive", "the memory is not enough: give a smaller --batch-size."),
    *(
        KnownError(
            function, "by peer", "another process of this training has ended ({message}): its own message says why."
        )
        for function in ("all_reduce", "all_gather", "broadcast", "reduce_scatter", "sum_gradients")
    ),
)
# Files of functions that have the configuration of a training run as a local variable.
TRAINING = ("fairseq_cli/train.py", "fairseq_cli/hydra_train.py")
OBJECT = re.compile(r":? ?<[\w.]+ object at 0x[0-9a-f]+>")  # object addresses in messages of Python
MESSAGE_LENGTH = 200  # characters; torch's messages can fill a page


def explain(error: BaseException, trace: Optional[TracebackType]) -> Optional[str]:
    """Returns a message for an error that a user can correct; None for other errors.

    Args:
        error: the exception.
        trace: its traceback.
    """
    for candidate in (error, error.__context__):  # fairseq wraps errors of checkpoint loading in its own
        if isinstance(candidate, UserError):
            return candidate.on_command_line
    if isinstance(error, OSError) and output_is_full(error):
        return unwritten(error)
    if isinstance(error, ProcessRaisedException):
        return _explained_by_child(error)
    frames = [frame for frame, _ in traceback.walk_tb(trace)]
    if not frames or not isinstance(error, Exception):
        return None
    message = OBJECT.sub("", (str(error) or type(error).__name__).splitlines()[0])[:MESSAGE_LENGTH]
    if isinstance(error, KeyError):
        message = f"it has no {message}"
    if isinstance(error, OSError) and error.filename:
        message = f"{error.filename}: {error.strerror}"
    message = " ".join(message.split())  # one line, even if quoted names contain line breaks
    local_variables = {frame.f_code.co_name: frame.f_locals for frame in frames}
    for known in KNOWN_ERRORS:
        if known.function in local_variables and known.fragment in str(error):
            return known.explanation.format_map({**local_variables[known.function], "message": message})
    if isinstance(error, AssertionError) and frames[-1].f_globals["__name__"].startswith("fairseq_cli."):
        return message  # fairseq's checks of options
    return None


def _explained_by_child(error: ProcessRaisedException) -> Optional[str]:
    """Returns the message of a UserError in a process that torch has started, from the text of its traceback."""
    name = f"{UserError.__module__}.{UserError.__name__}: "
    last_line = str(error).strip().splitlines()[-1]
    return last_line.removeprefix(name) if last_line.startswith(name) else None


def resumption(trace: Optional[TracebackType]) -> Optional[str]:
    """Returns the command hint for resuming an interrupted training run; None for other commands and for ranks above 0."""
    for frame, _ in traceback.walk_tb(trace):
        cfg = frame.f_locals.get("cfg")
        if cfg is not None and frame.f_code.co_filename.endswith(TRAINING) and hasattr(cfg, "checkpoint"):
            if cfg.distributed_training.distributed_rank:  # None or 0 for the first process
                return None
            checkpoint = Path(cfg.checkpoint.save_dir, "checkpoint_last.pt")
            if checkpoint.exists():
                return f"interrupted: the same command continues from {checkpoint}."
            return f"interrupted before the first checkpoint: the same command starts from the beginning in {checkpoint.parent}."
    return None


def install_hook() -> None:
    """Installs an exception hook that prints explained errors as one line, and how to resume an interrupted training run."""
    previous = sys.excepthook

    def hook(kind: Type[BaseException], error: BaseException, trace: Optional[TracebackType]) -> None:
        if (number := ending_signal(error)) is not None:
            if number != signal.SIGPIPE and (line := resumption(trace)):
                # In a rank, sys.stderr is a buffer of torch that would be lost.
                print(line, file=sys.__stderr__, flush=True)
            previous(kind, error, trace)
        elif sentence := explain(error, trace):
            show_traceback(error)
            print(one_line(f"error: {sentence}"), file=sys.stderr)
        else:
            previous(kind, error, trace)

    sys.excepthook = hook
