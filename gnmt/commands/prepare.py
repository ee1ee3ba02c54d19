"""Prepares parallel text for training: cleaning, segmentation, vocabulary, binarisation.

    gnmt prepare --train corpus --valid dev --test test --source-lang en --target-lang fr --output DIR
    gnmt prepare --train corpus --valid dev --test test --model MODEL --output DIR

A corpus is named without its language: data/corpus for data/corpus.en and data/corpus.fr, or for data/corpus.tsv with
two columns; plain, .gz, .xz or .zst. Every line of validation and test text is kept. All files are written to
DIR/unfinished and renamed at the end, so --overwrite loses nothing if a step fails. The same command resumes an
interrupted preparation. The next step is `gnmt train DIR`. With --model, this fine-tunes an existing model.
"""

import argparse
import shlex
import shutil
import sys
from pathlib import Path

from gnmt.checkpoints.model_folder import read_model_folder
from gnmt.commands.cleaning_options import add_cleaning_options, cleaning_rules
from gnmt.commands.fairseq import plugin_folder, run_fairseq_quietly
from gnmt.commands.import_model import import_model
from gnmt.commands.pretrained import preparation_of
from gnmt.corpora.cleaning import CleanOutputs, read_report
from gnmt.corpora.preparation import SETTINGS, Corpora, Preparation
from gnmt.corpora.preparation_folder import begin, check_places, finish, is_ready
from gnmt.corpora.preparation_steps import PRETRAINED, SPLITS, steps
from gnmt.corpora.segmentations import SEGMENTATIONS
from gnmt.errors import UserError
from gnmt.files.lines import check_files
from gnmt.files.locks import locked
from gnmt.files.parallel_text import count_pairs
from gnmt.files.process_pool import check_jobs

NEW_MODEL = {"source_language": "", "target_language": "", "segmentation": "subwords", "vocab_size": 8000}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of the command."""
    add = parser.add_argument
    add("--train", nargs="+", action="extend", required=True, metavar="NAME", help="training corpora")
    add("--valid", required=True, metavar="NAME", help="corpus for validation during training")
    add("--test", required=True, metavar="NAME", help="corpus for the final test")
    add(
        "--model",
        type=Path,
        metavar="MODEL",
        help="model folder to fine-tune; its languages, tokenizer and vocabulary are used",
    )
    add("--source-lang", default="", metavar="LANG", help="source language, such as en")
    add("--target-lang", default="", metavar="LANG", help="target language, such as fr")
    add("--output", type=Path, required=True, metavar="DIR", help="folder to write")
    add(
        "--segmentation",
        metavar="S",
        help=f"segmentation: {', '.join(SEGMENTATIONS)} (default: subwords)",
    )
    add(
        "--vocab-size",
        type=int,
        metavar="N",
        help="number of tokens of the joint vocabulary (default: 8000)",
    )
    add("--input-sentence-size", type=int, metavar="N", help="maximum number of sentences to learn subwords from")
    add(
        "--embedding-size",
        type=int,
        metavar="N",
        help="dimensions of initial embeddings; 0: none (default: 256 for at most 200,000 training pairs)",
    )
    add_cleaning_options(parser)
    add(
        "--overwrite",
        action="store_true",
        help="start again, and replace the files of a preparation with other settings",
    )


def run(arguments: argparse.Namespace) -> None:
    """Runs the command."""
    settings = settings_of(arguments)
    check_jobs(arguments.jobs)
    folder: Path = arguments.output
    if not arguments.overwrite and is_ready(folder, settings):
        print(f"ready: {folder}")
        return
    plugin = plugin_folder()
    corpora = settings.find_corpora()
    check_places(folder, settings, corpora, arguments.overwrite)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        _check_corpora(corpora)
        product_folder = begin(folder, settings, corpora, arguments.overwrite)
        if not (product_folder / SETTINGS).exists():
            if settings.model is not None and not (product_folder / PRETRAINED).exists():
                _say(f"importing {settings.model}")
                model = Path(settings.model)
                import_model(model, read_model_folder(model), product_folder / PRETRAINED)
            for step in steps(settings, corpora, product_folder, arguments.jobs):
                if not step.product.exists():
                    _say(step.purpose)
                    step.make()
            report = CleanOutputs.with_prefix(str(product_folder / "clean" / "train"), *settings.languages).report
            _say(f"training text: {read_report(report).summary()}")
            _binarise(settings, product_folder, plugin, arguments.jobs)
        finish(settings, product_folder, folder)
    print(f"ready: {folder}; next: {shlex.join(['gnmt', 'train', str(folder)])}")


def settings_of(arguments: argparse.Namespace) -> Preparation:
    """Returns the settings of the options.

    Raises:
        UserError: if a setting is invalid, or contradicts the model to fine-tune.
    """
    given = {
        "source_language": arguments.source_lang or None,
        "target_language": arguments.target_lang or None,
        "segmentation": arguments.segmentation,
        "vocab_size": arguments.vocab_size,
        "input_sentence_size": arguments.input_sentence_size,
        "embedding_size": arguments.embedding_size,
    }
    fixed = preparation_of(arguments.model) if arguments.model is not None else NEW_MODEL
    for name, value in given.items():
        if arguments.model is not None and value is not None and value != fixed.get(name):
            option = name.replace("_", "-").replace("language", "lang")
            raise UserError(f"--{option} {value} contradicts --model {arguments.model}: leave it out.")
    return Preparation(
        **{**fixed, **{name: value for name, value in given.items() if value is not None}},
        train=tuple(arguments.train),
        valid=arguments.valid,
        test=arguments.test,
        cleaning=cleaning_rules(arguments),
        drop_duplicates=arguments.drop_duplicates,
    )


def _check_corpora(corpora: Corpora) -> None:
    """Checks the files of all corpora, and the content of validation and test text.

    Raises:
        UserError: if a file is missing or unusable.
    """
    check_files(corpora.paths)
    for source, target in (corpora.valid, corpora.test):
        if target is not None:
            count_pairs([source], [target], jobs=1)


def _binarise(settings: Preparation, product_folder: Path, plugin: Path, jobs: int) -> None:
    if (product_folder / "bin").exists():
        return
    _say("binarising")
    temporary = product_folder / "bin.partial"
    shutil.rmtree(temporary, ignore_errors=True)
    encoded = product_folder / "encoded"
    source, target = settings.languages
    arguments = ["--user-dir", str(plugin), "--source-lang", source, "--target-lang", target]
    arguments += ["--joined-dictionary", "--srcdict", str(product_folder / "dict.txt"), "--workers", str(jobs)]
    for split in SPLITS:
        arguments += [f"--{split}pref", str(encoded / split)]
    run_fairseq_quietly("preprocess", [*arguments, "--destdir", str(temporary)], product_folder / "preprocess.log")
    if settings.segmentation == "word":  # binarised text has no unknown words; they are copied from the text
        for split in ("valid", "test"):
            for language in settings.languages:
                shutil.copyfile(encoded / f"{split}.{language}", temporary / f"{split}.{source}-{target}.{language}")
    temporary.rename(product_folder / "bin")


def _say(text: str) -> None:
    print(f"== {text}", file=sys.stderr, flush=True)
