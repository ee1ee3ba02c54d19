"""Trains a model on a folder of `gnmt prepare`, with settings for the size of its data and for this machine.

    gnmt train DIR
    gnmt train DIR --precision bf16 --dry-run
    gnmt train DIR --seed 2 --max-update 5000

Options that are not listed here go to fairseq-train, and win over the ones that are chosen. The command line of
fairseq-train is printed first. The same command resumes an interrupted training; at the end the last epochs are averaged
into DIR/checkpoints/averaged.pt, which `gnmt export` turns into a model folder.
"""
import argparse
import importlib.util
import json
import os
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence

from gnmt.commands.fairseq import plugin_folder, run_fairseq, shown
from gnmt.corpora.preparation import Preparation, read_settings
from gnmt.errors import UserError
from gnmt.files.outputs import atomic_outputs
from gnmt.files.process_pool import available_cores

PASSES_OPTIONS_THROUGH = True  # unknown options are for fairseq-train
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
MOST_THREADS = 4  # small matrices gain little from more
FIRST_LOSS_SCALE = 64  # of fp16: fairseq's loss is a sum over sentences, and larger scales overflow
JOINED_BY = {"subwords": "sentencepiece", "character": "sentencepiece", "word": "words", "mixed": "mixed_word_char"}


class Recipe(NamedTuple):
    """Settings for corpora of one size."""

    pairs: Optional[int]  # training pairs, at most
    options: str
    batch: int  # sentence pairs per update
    epochs: int
    averaged: int  # epochs


RECIPES = (
    Recipe(
        200_000,
        "--arch gnmt_v2_small --share-decoder-input-output-embed --dropout 0.3 --lr 3e-3 --warmup-steps 200 --remain-steps 0.5",
        batch=64, epochs=10, averaged=3,
    ),
    Recipe(
        2_000_000,
        "--arch gnmt_v2 --hidden-size 512 --init-range 0.14 --share-decoder-input-output-embed --dropout 0.2 --lr 2e-3 "
        "--warmup-steps 200 --remain-steps 0.5",
        batch=128, epochs=8, averaged=3,
    ),
    Recipe(
        None,
        "--arch gnmt_v2 --dropout 0.2 --lr 2e-3 --warmup-steps 200 --remain-steps 0.666 --decay-steps 4 --train-max-length 50",
        batch=1024, epochs=6, averaged=1,
    ),
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of the command."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder of `gnmt prepare`")
    parser.add_argument("--precision", choices=PRECISIONS, default="auto", help="of the arithmetic (default: auto, the fastest)")
    parser.add_argument("--epochs", type=int, metavar="N", help="passes through the training pairs (default: by their number)")
    parser.add_argument("--threads", type=int, metavar="N", help="threads on a machine without a GPU")
    parser.add_argument("--dry-run", action="store_true", help="print the command line of fairseq-train only")


def run(arguments: argparse.Namespace, further: Sequence[str]) -> None:
    """Runs the command; `further` are options of fairseq-train."""
    settings, pairs = read_settings(arguments.folder)
    recipe = recipe_for(pairs)
    if arguments.epochs is not None:
        if arguments.epochs < 1:
            raise UserError(f"--epochs is {arguments.epochs}, but must be at least 1.")
        recipe = recipe._replace(epochs=arguments.epochs, averaged=min(recipe.averaged, arguments.epochs))
    options = training_options(arguments.folder, settings, pairs, recipe, arguments.precision, further)
    print(shown("train", options), flush=True)
    if arguments.dry_run:
        return
    checkpoints = Path(options[len(options) - 1 - options[::-1].index("--save-dir") + 1])
    if not _has_finished(checkpoints, options):
        run_fairseq("train", options, _environment(arguments.threads))
        _note_finished(checkpoints, options)
    averaged = average(checkpoints, recipe.averaged)
    print(f"trained: {averaged}; next: gnmt export {averaged} MODEL")


def recipe_for(pairs: int) -> Recipe:
    """Returns the recipe for a number of training pairs."""
    return next(recipe for recipe in RECIPES if recipe.pairs is None or pairs <= recipe.pairs)


def training_options(
    folder: Path, settings: Preparation, pairs: int, recipe: Recipe, precision: str, further: Sequence[str]
) -> List[str]:
    """Returns the arguments of fairseq-train.

    Args:
        folder: of the preparation.
        settings: of the preparation.
        pairs: number of training pairs.
        recipe: for this number.
        precision: "auto", "fp32", "bf16" or "fp16".
        further: options that win over the chosen ones.
    """
    has_gpu = _has_gpu()
    per_device = min(recipe.batch, 128)
    updates = recipe.epochs * -(-pairs // recipe.batch)
    source, target = settings.languages
    options = [str(folder / "bin"), "--user-dir", str(plugin_folder()), "--save-dir", str(folder / "checkpoints")]
    options += ["--task", "gnmt_translation", "--source-lang", source, "--target-lang", target]
    options += ["--criterion", "gnmt_label_smoothed_cross_entropy", "--label-smoothing", "0.1", "--sentence-avg"]
    options += ["--optimizer", "gnmt_adam", "--lr-scheduler", "gnmt_warmup_step_decay", "--clip-norm", "5.0"]
    options += recipe.options.split()
    options += ["--batch-size", str(per_device), "--update-freq", str(recipe.batch // per_device), "--max-update", str(updates)]
    options += ["--batch-size-valid", "128", "--eval-bleu", "--eval-bleu-remove-bpe", JOINED_BY[settings.segmentation]]
    options += ["--eval-bleu-args", '{"beam": 1}', "--best-checkpoint-metric", "bleu", "--maximize-best-checkpoint-metric"]
    options += ["--log-format", "simple", "--log-interval", "100", "--num-workers", "0" if not has_gpu else "2"]
    if (folder / "embeddings.txt").exists() and "--hidden-size" not in [*options, *further]:
        options += ["--pretrained-embeddings", str(folder / "embeddings.txt")]
    options += precision_options(precision, has_gpu)
    return [*options, *further]


def precision_options(precision: str, has_gpu: bool) -> List[str]:
    """Returns the options of fairseq-train for a precision; "auto" is fp16 on a GPU and fp32 on a CPU."""
    device = [] if has_gpu else ["--cpu"]
    if precision == "auto":
        precision = "fp16" if has_gpu else "fp32"
    if precision == "fp16" and not has_gpu:
        raise UserError("--precision fp16 needs a GPU: give bf16 or fp32.")
    of_precision: Dict[str, List[str]] = {
        "fp32": [],
        "bf16": ["--bf16"],
        "fp16": ["--fp16", "--fp16-init-scale", str(FIRST_LOSS_SCALE), "--fp16-scale-window", "128"],
    }
    return [*device, *of_precision[precision]]


def average(checkpoints: Path, count: int) -> Path:
    """Averages the last epochs of a training, and returns the file; the last checkpoint if there are too few."""
    from gnmt.checkpoints.averaging import average_checkpoints, last_checkpoints

    try:
        inputs = last_checkpoints(checkpoints, count)
    except UserError:
        return checkpoints / "checkpoint_last.pt"
    average_checkpoints(inputs, checkpoints / "averaged.pt", overwrite=True)
    return checkpoints / "averaged.pt"


def _has_gpu() -> bool:
    if importlib.util.find_spec("torch") is None:
        return False
    import torch

    return torch.cuda.is_available()


def _environment(threads: Optional[int]) -> Dict[str, str]:
    chosen = threads if threads is not None else min(available_cores(), MOST_THREADS)
    environment = dict(os.environ)
    if threads is not None or "OMP_NUM_THREADS" not in environment:
        environment["OMP_NUM_THREADS"] = str(chosen)
    environment.setdefault("PYTHONWARNINGS", "ignore::UserWarning,ignore::FutureWarning")
    return environment


def _finished_file(checkpoints: Path) -> Path:
    return checkpoints / "finished.json"


def _has_finished(checkpoints: Path, options: Sequence[str]) -> bool:
    """True if a training with these options has ended. Raises UserError if one with others has."""
    path = _finished_file(checkpoints)
    if not path.exists():
        return False
    if json.loads(path.read_text(encoding="utf-8")) != list(options):
        raise UserError(f"{checkpoints} has a training with other options: give another --save-dir, or delete {path} to continue it.")
    return True


def _note_finished(checkpoints: Path, options: Sequence[str]) -> None:
    with atomic_outputs([_finished_file(checkpoints)], inputs=[], overwrite=True) as (file,):
        file.write(json.dumps(list(options)).encode("utf-8"))
