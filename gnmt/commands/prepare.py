"""Prepares parallel text for training: cleaning, segmentation, vocabulary, binarisation.

    gnmt prepare --train corpus --valid dev --test test --source-lang en --target-lang fr --output DIR

A corpus is named without its language: data/corpus for data/corpus.en and data/corpus.fr, or for data/corpus.tsv with
two columns; plain, .gz, .xz or .zst. Every line of validation and test text is kept. All files are written to
DIR/unfinished and renamed at the end, so --overwrite loses nothing if a step fails. The same command resumes an
interrupted preparation. The next step is `gnmt train DIR`.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import List

from gnmt.commands.cleaning_options import add_cleaning_options, cleaning_rules
from gnmt.commands.fairseq import plugin_folder, run_fairseq
from gnmt.corpora.preparation import SETTINGS, Corpora, Preparation, read_settings, write_settings
from gnmt.corpora.preparation_steps import SPLITS, copied_text, steps
from gnmt.corpora.segmentations import SEGMENTATIONS
from gnmt.errors import UserError
from gnmt.files.lines import check_files
from gnmt.files.locks import locked
from gnmt.files.outputs import atomic_outputs
from gnmt.files.parallel_text import count_pairs
from gnmt.files.process_pool import check_jobs

UNFINISHED = "unfinished"
BEGUN = "begun.json"  # in UNFINISHED: settings and files of the preparation in progress
PRODUCTS = (
    "clean", "encoded", "dict.txt", "bin", "embeddings.txt", "subwords.model", "subwords.vocab", "mixed.json",
    "prepare.settings",  # written by earlier versions
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of the command."""
    add = parser.add_argument
    add("--train", nargs="+", action="extend", required=True, metavar="NAME", help="training corpora")
    add("--valid", required=True, metavar="NAME", help="corpus for validation during training")
    add("--test", required=True, metavar="NAME", help="corpus for the final test")
    add("--source-lang", default="", metavar="LANG", help="source language, such as en")
    add("--target-lang", default="", metavar="LANG", help="target language, such as fr")
    add("--output", type=Path, required=True, metavar="DIR", help="folder to write")
    add(
        "--segmentation",
        default="subwords",
        metavar="S",
        help=f"segmentation: {', '.join(SEGMENTATIONS)} (default: subwords)",
    )
    add(
        "--vocab-size",
        type=int,
        default=8000,
        metavar="N",
        help="number of tokens of the joint vocabulary (default: 8000)",
    )
    add("--input-sentence-size", type=int, metavar="N", help="maximum number of sentences to learn subwords from")
    add(
        "--embedding-size",
        type=int,
        metavar="N",
        help="width of initial embeddings; 0: none (default: 256 for at most 200,000 training pairs)",
    )
    add_cleaning_options(parser)
    add("--overwrite", action="store_true", help="start again, and replace products of other settings")


def run(arguments: argparse.Namespace) -> None:
    """Runs the command."""
    settings = settings_of(arguments)
    check_jobs(arguments.jobs)
    folder: Path = arguments.output
    if not arguments.overwrite and _is_ready(folder, settings):
        print(f"ready: {folder}")
        return
    plugin = plugin_folder()
    corpora = settings.find_corpora()
    _check_places(folder, settings, corpora, arguments.overwrite)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        _check_corpora(corpora)
        making = _begin(folder, settings, corpora, arguments.overwrite)
        if not (making / SETTINGS).exists():
            for step in steps(settings, corpora, making, arguments.jobs):
                if not step.product.exists():
                    _say(step.purpose)
                    step.make()
            _binarise(settings, making, plugin, arguments.jobs)
        _finish(settings, making, folder)
    print(f"ready: {folder}; next: gnmt train {folder}")


def settings_of(arguments: argparse.Namespace) -> Preparation:
    """Returns the settings of the options.

    Raises:
        UserError: if a setting is invalid.
    """
    given = arguments
    return Preparation(
        source_language=given.source_lang,
        target_language=given.target_lang,
        train=tuple(given.train),
        valid=given.valid,
        test=given.test,
        segmentation=given.segmentation,
        vocab_size=given.vocab_size,
        input_sentence_size=given.input_sentence_size,
        embedding_size=given.embedding_size,
        cleaning=cleaning_rules(given),
        drop_duplicates=given.drop_duplicates,
    )


def _is_ready(folder: Path, settings: Preparation) -> bool:
    """Returns True if a folder is prepared with these settings.

    Raises:
        UserError: if it is prepared with other settings.
    """
    if not (folder / SETTINGS).exists():
        return False
    before, now = read_settings(folder / SETTINGS).options(), settings.options()
    changed = [name for name in now if before[name] != now[name]]
    if changed:
        had, wanted = (", ".join(f"{name}={options[name]}" for name in changed) for options in (before, now))
        raise UserError(
            f"{folder} was prepared with {had}, now {wanted} is asked for: give --overwrite or another --output."
        )
    return True


def _check_places(folder: Path, settings: Preparation, corpora: Corpora, overwrite: bool) -> None:
    """Checks the folder of the products.

    Args:
        folder: folder of the preparation.
        settings: settings of the preparation.
        corpora: files of the corpora.
        overwrite: replace existing products.

    Raises:
        UserError: if a product would replace a corpus, or files that are not from a preparation.
    """
    places = [*(folder / name for name in PRODUCTS), *copied_text(settings, corpora, folder)]
    for path in map(Path.resolve, corpora.paths):
        for place in (*places, folder / UNFINISHED):
            if place.resolve() in (path, *path.parents):
                raise UserError(f"{path} would be replaced by the preparation: give another --output.")
    continued = _continues(folder / UNFINISHED, settings, corpora)
    if not overwrite and not continued and not (folder / SETTINGS).exists():
        strange = [str(place) for place in places if place.exists()]
        if strange:
            raise UserError(
                f"{folder} has no {SETTINGS}, but {', '.join(strange)}: "
                "give another --output, or replace them with --overwrite."
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


def _begin(folder: Path, settings: Preparation, corpora: Corpora, overwrite: bool) -> Path:
    """Returns the folder for products, emptied if they are from other settings or from changed text.

    Args:
        folder: folder of the preparation.
        settings: settings of the preparation.
        corpora: files of the corpora.
        overwrite: start again.
    """
    making = folder / UNFINISHED
    if overwrite or not _continues(making, settings, corpora):
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir()
        with atomic_outputs([making / BEGUN], inputs=[], overwrite=True) as (file,):
            file.write(_note(settings, corpora))
    return making


def _continues(making: Path, settings: Preparation, corpora: Corpora) -> bool:
    """Returns True if a folder contains products of these settings and files.

    Args:
        making: folder of the products.
        settings: settings of the preparation.
        corpora: files of the corpora.
    """
    path = making / BEGUN
    return path.exists() and path.read_bytes() == _note(settings, corpora)


def _note(settings: Preparation, corpora: Corpora) -> bytes:
    files = [[str(path), path.stat().st_size, path.stat().st_mtime_ns] for path in corpora.paths]
    return json.dumps({"settings": settings.options(), "files": files}).encode("ascii")


def _binarise(settings: Preparation, making: Path, plugin: Path, jobs: int) -> None:
    if (making / "bin").exists():
        return
    _say("binarising")
    temporary = making / "bin.partial"
    shutil.rmtree(temporary, ignore_errors=True)
    encoded = making / "encoded"
    source, target = settings.languages
    arguments = ["--user-dir", str(plugin), "--source-lang", source, "--target-lang", target]
    arguments += ["--joined-dictionary", "--srcdict", str(making / "dict.txt"), "--workers", str(jobs)]
    for split in SPLITS:
        arguments += [f"--{split}pref", str(encoded / split)]
    run_fairseq("preprocess", [*arguments, "--destdir", str(temporary)])
    if settings.segmentation == "word":  # binarised text has no unknown words; they are copied from the text
        for split in ("valid", "test"):
            for language in settings.languages:
                shutil.copyfile(encoded / f"{split}.{language}", temporary / f"{split}.{source}-{target}.{language}")
    temporary.rename(making / "bin")


def _finish(settings: Preparation, making: Path, folder: Path) -> None:
    """Renames the products, prepare.json last; the next call continues an interrupted move.

    Args:
        settings: settings of the preparation.
        making: folder of the products.
        folder: final folder.
    """
    if not (making / SETTINGS).exists():
        (folder / SETTINGS).unlink(missing_ok=True)
        for name in PRODUCTS:
            _remove(folder / name)
        write_settings(making / SETTINGS, settings)
    for name in PRODUCTS:
        if (making / name).exists():
            (making / name).rename(folder / name)
    for text in _files(making / "raw"):
        (folder / "raw").mkdir(exist_ok=True)
        text.replace(folder / "raw" / text.name)
    (making / SETTINGS).rename(folder / SETTINGS)
    shutil.rmtree(making)


def _files(folder: Path) -> List[Path]:
    return sorted(folder.iterdir()) if folder.exists() else []


def _remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)


def _say(text: str) -> None:
    print(f"== {text}", file=sys.stderr, flush=True)
