"""Runs of `gnmt bulk` in this process, and the translations that they must write."""

from pathlib import Path
from typing import List

from gnmt.bulk.manifest import BulkFolder, read_manifest
from gnmt.bulk.results import todo
from gnmt.commands import bulk
from gnmt.commands.command_line import run_module
from gnmt.translator import Translator

DIFFERING_SEED = 9  # seed of a model folder whose translations differ between sentences
SENTENCES = ("the dog sees a cat .", "the cat runs .", "a dog runs and the cat sees", "s the , a", "dog")


def gnmt_bulk(*arguments) -> None:
    run_module(bulk, "gnmt bulk", list(map(str, arguments)))


def planned(model: Path, source: Path, output: Path, *options) -> Path:
    """Returns a folder whose input is cut into shards, none of which is translated."""
    gnmt_bulk(model, "--input", source, "--output", output, "--engine", "print", *options)
    return output


def translated(model: Path, source: Path, output: Path, *options) -> Path:
    """Returns a folder whose shards are all translated, in this process."""
    planned(model, source, output, *options)
    waiting = todo(BulkFolder(output), read_manifest(BulkFolder(output)))
    if waiting:
        gnmt_bulk("shard", output, *waiting)
    return output


def expected_texts(model: Path, texts: List[str], **options) -> List[str]:
    """Returns the expected translations, computed by `Translator`."""
    return [translation.text for translation in Translator.from_pretrained(model).translate(texts, **options)]
