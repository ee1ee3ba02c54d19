"""Folder of a preparation: products are made in a subfolder, and moved when all of them are complete.

An interrupted preparation is continued if settings and files are the same, and otherwise started again.
"""

import json
import shutil
from pathlib import Path
from typing import List

from gnmt.corpora.preparation import SETTINGS, Corpora, Preparation, read_settings, write_settings
from gnmt.corpora.preparation_steps import PRETRAINED, copied_text
from gnmt.errors import UserError
from gnmt.files.checksums import SUMS
from gnmt.files.outputs import atomic_outputs

UNFINISHED = "unfinished"
BEGUN = "begun.json"  # in UNFINISHED: settings and files of the preparation in progress
PRODUCTS = (
    PRETRAINED, "clean", "encoded", "dict.txt", "bin", "embeddings.txt", "subwords.model", "subwords.vocab", "mixed.json",
    "prepare.settings",  # written by earlier versions
)  # fmt: skip


def is_ready(folder: Path, settings: Preparation) -> bool:
    """Returns True if a folder is prepared with these settings.

    Raises:
        UserError: if it is prepared with other settings.
    """
    if not (folder / SETTINGS).exists():
        return False
    before, now = read_settings(folder / SETTINGS).options(), settings.options()
    changed = [name for name in now if before[name] != now[name]]
    if changed:
        old_values, new_values = (", ".join(f"{name}={options[name]}" for name in changed) for options in (before, now))
        raise UserError(
            f"{folder} was prepared with {old_values}, but this command has {new_values}: "
            "pass --overwrite or another --output."
        )
    return True


def check_places(folder: Path, settings: Preparation, corpora: Corpora, overwrite: bool) -> None:
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
        foreign_files = [str(place) for place in places if place.exists()]
        if foreign_files:
            raise UserError(
                f"{folder} has no {SETTINGS}, but {', '.join(foreign_files)}: "
                "give another --output, or replace them with --overwrite."
            )


def begin(folder: Path, settings: Preparation, corpora: Corpora, overwrite: bool) -> Path:
    """Returns the folder for products, emptied if they are from other settings or from changed text.

    Args:
        folder: folder of the preparation.
        settings: settings of the preparation.
        corpora: files of the corpora.
        overwrite: start again.
    """
    product_folder = folder / UNFINISHED
    if overwrite or not _continues(product_folder, settings, corpora):
        shutil.rmtree(product_folder, ignore_errors=True)
        product_folder.mkdir()
        with atomic_outputs([product_folder / BEGUN], inputs=[], overwrite=True) as (file,):
            file.write(_note(settings, corpora))
    return product_folder


def _continues(product_folder: Path, settings: Preparation, corpora: Corpora) -> bool:
    """Returns True if a folder contains products of these settings and files.

    Args:
        product_folder: folder of the products.
        settings: settings of the preparation.
        corpora: files of the corpora.
    """
    path = product_folder / BEGUN
    return path.exists() and path.read_bytes() == _note(settings, corpora)


def _note(settings: Preparation, corpora: Corpora) -> bytes:
    paths = [*corpora.paths, *([Path(settings.model) / SUMS] if settings.model else [])]
    files = [[str(path), path.stat().st_size, path.stat().st_mtime_ns] for path in paths]
    return json.dumps({"settings": settings.options(), "files": files}).encode("ascii")


def finish(settings: Preparation, product_folder: Path, folder: Path) -> None:
    """Renames the products, prepare.json last; the next call continues an interrupted move.

    Args:
        settings: settings of the preparation.
        product_folder: folder of the products.
        folder: final folder.
    """
    if not (product_folder / SETTINGS).exists():
        (folder / SETTINGS).unlink(missing_ok=True)
        for name in PRODUCTS:
            _remove(folder / name)
        write_settings(product_folder / SETTINGS, settings)
    for name in PRODUCTS:
        if (product_folder / name).exists():
            (product_folder / name).rename(folder / name)
    for text in _files(product_folder / "raw"):
        (folder / "raw").mkdir(exist_ok=True)
        text.replace(folder / "raw" / text.name)
    (product_folder / SETTINGS).rename(folder / SETTINGS)
    shutil.rmtree(product_folder)


def _files(folder: Path) -> List[Path]:
    return sorted(folder.iterdir()) if folder.exists() else []


def _remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
