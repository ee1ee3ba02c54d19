"""Prepares parallel text for training: cleaning, segmentation, vocabulary, binarisation.

    gnmt prepare --train corpus --valid dev --test test --source-lang en --target-lang fr --output DIR

A corpus is named without its languages: corpus.en and corpus.fr, or corpus.tsv with two columns; plain, .gz, .xz or .zst.
The same command continues an interrupted preparation; `gnmt train DIR` comes next.
"""
import argparse
import shutil
from pathlib import Path

from gnmt.commands.fairseq import plugin_folder, run_fairseq
from gnmt.corpora.cleaning_rules import CleaningRules
from gnmt.corpora.preparation import SEGMENTATIONS, SETTINGS, Preparation, read_settings, steps, write_settings
from gnmt.errors import UserError
from gnmt.files.lines import count_lines
from gnmt.files.process_pool import available_cores


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of the command."""
    rules = CleaningRules()
    add = parser.add_argument
    add("--train", nargs="+", required=True, metavar="NAME", help="training corpora")
    add("--valid", required=True, metavar="NAME", help="corpus for validation during training")
    add("--test", required=True, metavar="NAME", help="corpus for the final test")
    add("--source-lang", required=True, metavar="LANG", help="such as en")
    add("--target-lang", required=True, metavar="LANG", help="such as fr")
    add("--output", type=Path, required=True, metavar="DIR", help="folder to write")
    add("--segmentation", choices=SEGMENTATIONS, default="subwords", help="of text into tokens (default: subwords)")
    add("--vocab-size", type=int, default=8000, metavar="N", help="tokens of the joint vocabulary (default: 8000)")
    add("--embedding-size", type=int, default=256, metavar="N", help="width of initial embeddings; 0 makes none (default: 256)")
    add("--max-length", type=int, default=rules.max_length, metavar="N", help="words of a training sentence, at most")
    add("--max-ratio", type=float, default=rules.max_ratio, metavar="R", help="longer side / shorter side, at most")
    add("--jobs", type=int, default=available_cores(), metavar="N", help="processes (default: all cores)")
    add("--overwrite", action="store_true", help="start again, and replace what other settings left")


def run(arguments: argparse.Namespace) -> None:
    """Runs the command."""
    plugin = plugin_folder()
    settings = Preparation(
        source_language=arguments.source_lang,
        target_language=arguments.target_lang,
        train=tuple(arguments.train),
        valid=arguments.valid,
        test=arguments.test,
        segmentation=arguments.segmentation,
        vocab_size=arguments.vocab_size,
        embedding_size=arguments.embedding_size or None,
    )
    folder: Path = arguments.output
    if (folder / SETTINGS).exists() and not arguments.overwrite:
        if read_settings(folder)[0] != settings:
            raise UserError(f"{folder} was prepared with other settings ({folder / SETTINGS}): give --overwrite or another --output.")
        print(f"ready: {folder}")
        return
    making = folder / "unfinished"
    if arguments.overwrite:
        shutil.rmtree(making, ignore_errors=True)
    rules = CleaningRules(max_length=arguments.max_length, max_ratio=arguments.max_ratio)
    for step in steps(settings, making, arguments.jobs, rules):
        if not step.product.exists():
            print(f"== {step.purpose}", flush=True)
            step.make()
    _binarise(settings, making, plugin, arguments.jobs)
    _finish(settings, making, folder)
    print(f"ready: {folder}; next: gnmt train {folder}")


def _binarise(settings: Preparation, making: Path, plugin: Path, jobs: int) -> None:
    if (making / "bin").exists():
        return
    print("== binarising", flush=True)
    temporary = making / "bin.partial"
    shutil.rmtree(temporary, ignore_errors=True)
    encoded = making / "encoded"
    arguments = ["--user-dir", str(plugin), "--source-lang", settings.source_language, "--target-lang", settings.target_language]
    arguments += ["--joined-dictionary", "--srcdict", str(making / "dict.txt"), "--workers", str(jobs)]
    for split in ("train", "valid", "test"):
        arguments += [f"--{split}pref", str(encoded / split)]
    run_fairseq("preprocess", [*arguments, "--destdir", str(temporary)])
    if settings.segmentation == "word":  # binarised text has lost its unknown words, which are copied from the text
        pair = "-".join(settings.languages)
        for split in ("valid", "test"):
            for language in settings.languages:
                shutil.copyfile(encoded / f"{split}.{language}", temporary / f"{split}.{pair}.{language}")
    temporary.rename(making / "bin")


def _finish(settings: Preparation, making: Path, folder: Path) -> None:
    """Moves the products into place; prepare.json comes last."""
    (folder / SETTINGS).unlink(missing_ok=True)
    pairs = count_lines(making / "encoded" / f"train.{settings.source_language}")
    for product in sorted(making.iterdir()):
        place = folder / product.name
        shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)
        product.rename(place)
    making.rmdir()
    write_settings(folder, settings, pairs)
