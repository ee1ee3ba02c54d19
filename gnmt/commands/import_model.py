"""Converts a model folder to a checkpoint for fine-tuning with fairseq-train.

    gnmt import MODEL DIR

Writes DIR/checkpoint.pt, config.json, a dictionary for each language, and the files of the tokenizer. New training text
must be encoded with this tokenizer and binarised with these dictionaries. Prints the options of fairseq-train.
`gnmt prepare --model MODEL` and `gnmt train` do all of this for models with one vocabulary for both languages.
"""

import argparse
import shlex
import shutil
from pathlib import Path

from gnmt.checkpoints.checkpoint_writing import CHECKPOINT, copy_tokenizer, dictionary_text, write_checkpoint
from gnmt.checkpoints.model_folder import CONFIG, Model, read_model_folder
from gnmt.checkpoints.network_options import training_options
from gnmt.errors import UserError
from gnmt.files.folders import complete_folder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of the command."""
    parser.add_argument("model", type=Path, help="model folder")
    parser.add_argument("output", type=Path, metavar="DIR", help="folder to write")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing output of this command")


def run(arguments: argparse.Namespace) -> None:
    """Runs the command."""
    model = read_model_folder(arguments.model)
    if arguments.output.exists() and arguments.output.samefile(arguments.model):
        raise UserError(f"{arguments.output} is the model folder itself: choose another output.")
    import_model(arguments.model, model, arguments.output, arguments.overwrite)
    checkpoint = arguments.output / CHECKPOINT
    options = ["--finetune-from-model", str(checkpoint), *training_options(model.config)]
    print(f"{checkpoint}: continue training with\nfairseq-train DATA --user-dir fairseq_gnmt {shlex.join(options)}")


def import_model(folder: Path, model: Model, output: Path, overwrite: bool = False) -> None:
    """Writes the checkpoint, the dictionaries and the tokenizer of a model.

    Args:
        folder: model folder.
        model: its contents.
        output: folder to write, which appears when it is complete.
        overwrite: replace an existing output.
    """
    opened = complete_folder(output, replaces=lambda path: (path / CHECKPOINT).is_file(), overwrite=overwrite)
    with opened as new_folder:
        with open(new_folder / CHECKPOINT, "wb") as file:
            write_checkpoint(model, output.absolute(), file)
        languages = (model.config.source_language, model.config.target_language)
        for language, vocabulary in zip(languages, (model.source_vocabulary, model.target_vocabulary)):
            (new_folder / f"dict.{language}.txt").write_text(dictionary_text(vocabulary), encoding="utf-8")
        copy_tokenizer(folder, new_folder)
        shutil.copyfile(folder / CONFIG, new_folder / CONFIG)
