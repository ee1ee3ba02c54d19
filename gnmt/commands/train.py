"""Trains a model on a folder of `gnmt prepare`, with settings for the size of its data and for this machine.

    gnmt train DIR
    gnmt train DIR --precision bf16 --dry-run
    gnmt train DIR --seed 2 --max-update 5000
    gnmt train DIR --replicas 4 --asynchronous

Further options are passed to fairseq-train and override the selected ones. The command line of fairseq-train is printed
first. The same command resumes an interrupted training run. At the end the last epochs are averaged into
DIR/checkpoints/averaged.pt, for `gnmt export`. Progress is printed in short form; DIR/checkpoints/train.log has all messages.
"""

import argparse
import os
import shlex
from pathlib import Path
from typing import Dict, List, Optional, Sequence

import torch

from gnmt.checkpoints.averaging import average_checkpoints, epoch_checkpoints
from gnmt.commands.fairseq import plugin_folder, run_fairseq, shown
from gnmt.commands.pretrained import training_of
from gnmt.corpora.preparation import SETTINGS, read_lengths, read_settings
from gnmt.errors import UserError
from gnmt.files.locks import locked
from gnmt.machine import available_cores
from gnmt.ranges import Range
from gnmt.training.finished import Finished, read_finished, write_finished
from gnmt.training.options import TRAINING_PRECISIONS, TrainingOptions, training_options
from gnmt.training.progress import TrainingProgress
from gnmt.training.recipes import fine_tuning, recipe_for

PASSES_OPTIONS_THROUGH = True  # unknown options are passed to fairseq-train
MAX_THREADS = 4  # more threads gain little for small matrices
LOG = "train.log"
POSITIVE = Range(1)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of the command."""
    parser.allow_abbrev = False  # an abbreviation may be an option of fairseq-train
    add = parser.add_argument
    add("folder", type=Path, metavar="DIR", help="folder of `gnmt prepare`")
    add(
        "--precision",
        choices=TRAINING_PRECISIONS,
        default="auto",
        help="precision of training (default: auto, fp16 on a GPU for more than 200,000 pairs, bf16 on a CPU if faster, "
        "otherwise fp32)",
    )
    add("--epochs", type=int, metavar="N", help="number of epochs (default: by the number of training pairs)")
    add("--threads", type=int, metavar="N", help="number of threads on a CPU (default: OMP_NUM_THREADS, or up to 4)")
    add("--replicas", type=int, metavar="N", help="number of replicas of the network (with --asynchronous)")
    add("--asynchronous", action="store_true", help="apply the gradient of each replica without waiting for the others")
    add("--dry-run", action="store_true", help="print the command line of fairseq-train and exit")


def run(arguments: argparse.Namespace, further: Sequence[str]) -> None:
    """Runs the command.

    Args:
        arguments: options of this command.
        further: options of fairseq-train.
    """
    options = _options(arguments, [*further, *_replicas(arguments)])
    environment = _threads(arguments.threads, options, arguments.replicas or 1)
    assignments = [f"{name}={value}" for name, value in environment.items()]
    print(" ".join([*assignments, shown("train", options.arguments)]), flush=True)
    if arguments.dry_run:
        return
    checkpoints = Path(options.value("--save-dir"))
    finished = read_finished(checkpoints, options.arguments)
    if finished is None and checkpoints.is_dir():
        with locked(checkpoints):  # refused while another run is training, which writes its record at the end
            finished = read_finished(checkpoints, options.arguments)
    if finished is None:
        quiet = {"PYTHONWARNINGS": "ignore::UserWarning,ignore::FutureWarning"}  # hides warnings of fairseq's own code
        print(f"log: {checkpoints / LOG}", flush=True)
        progress = TrainingProgress(_total_updates(options))
        run_fairseq(
            "train", options.arguments, {**quiet, **os.environ, **environment}, checkpoints / LOG, progress.shorten
        )
        finished = Finished(options.arguments)
        write_finished(checkpoints, finished)
    model = finished.model or _average(checkpoints, options.averaged)
    if finished.model is None:
        write_finished(checkpoints, finished._replace(model=model))
    print(f"trained: {checkpoints / model}; next: {_export_command(arguments.folder, checkpoints / model, options)}")


def _options(arguments: argparse.Namespace, further: Sequence[str]) -> TrainingOptions:
    folder: Path = arguments.folder
    if not folder.is_dir() and any(Path(option).is_dir() for option in further):
        raise UserError(f"{folder} is not a folder: pass DIR first, and the options of fairseq-train after it.")
    settings, lengths = read_settings(folder / SETTINGS), read_lengths(folder)
    recipe = recipe_for(sum(lengths))
    if arguments.epochs is not None:
        POSITIVE.check("epochs", arguments.epochs)
        recipe = recipe._replace(epochs=arguments.epochs)
    if settings.model is not None:
        recipe, further = fine_tuning(recipe), [*training_of(folder), *further]
    gpus = torch.cuda.device_count() if torch.cuda.is_available() and "--cpu" not in further else 0
    return training_options(folder, settings, lengths, recipe, gpus, arguments.precision, plugin_folder(), further)


def _total_updates(options: TrainingOptions) -> Optional[int]:
    """Returns the number of updates of the whole training; None if it is not known in advance."""
    text = options.value("--max-update")
    return int(text) if text.isdecimal() and int(text) and not options.value("--max-epoch") else None


def _replicas(arguments: argparse.Namespace) -> List[str]:
    """Returns the options of fairseq-train for replicas."""
    if arguments.replicas is None and not arguments.asynchronous:
        return []
    if arguments.replicas is None or not arguments.asynchronous:
        raise UserError(
            "--replicas and --asynchronous go together: give both, for example --replicas 4 --asynchronous."
        )
    POSITIVE.check("replicas", arguments.replicas)
    return ["--asynchronous-replicas", str(arguments.replicas)]


def _threads(threads: Optional[int], options: TrainingOptions, replicas: int) -> Dict[str, str]:
    """Returns the environment variable for the number of threads of each process on a CPU.

    Args:
        threads: --threads, or None.
        options: options of the training.
        replicas: number of replicas.
    """
    if threads is not None:
        POSITIVE.check("threads", threads)
        return {"OMP_NUM_THREADS": str(threads)}
    if not options.has("--cpu"):
        return {}
    cores = max(1, available_cores() // replicas)
    return {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS") or str(min(cores, MAX_THREADS))}


def _export_command(folder: Path, checkpoint: Path, options: TrainingOptions) -> str:
    """Returns the command that exports a checkpoint and measures it on the test set, in shell syntax.

    Args:
        folder: folder of the preparation, for which the model folder is named.
        checkpoint: checkpoint to export.
        options: options of the training.
    """
    tests = [folder / "raw" / f"test.{options.value(f'--{side}-lang')}" for side in ("source", "target")]
    check = ["--check", *map(str, tests)] if all(path.is_file() for path in tests) else []
    words = ["--tokenizer", "words"] if options.value("--eval-bleu-remove-bpe") == "words" else []
    return shlex.join(["gnmt", "export", str(checkpoint), str(folder / "model"), *check, *words])


def _average(checkpoints: Path, count: int) -> str:
    """Averages the last epochs of a training run.

    Args:
        checkpoints: --save-dir of the training.
        count: number of epochs to average.

    Returns:
        Name of the averaged checkpoint, or of the last checkpoint if no epoch is complete.
    """
    inputs: List[Path] = epoch_checkpoints(checkpoints)[-count:]
    if not inputs:
        return "checkpoint_last.pt"
    average_checkpoints(inputs, checkpoints / "averaged.pt", overwrite=True)
    return "averaged.pt"
