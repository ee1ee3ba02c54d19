"""`gnmt bulk` in this process, and what it should write."""

from pathlib import Path
from typing import List

from gnmt.bulk.manifest import BulkFolder, read_manifest
from gnmt.bulk.results import todo
from gnmt.commands import bulk
from gnmt.commands.command_line import run_module
from gnmt.translator import Translator

DIFFERING_SEED = 9  # of a model folder whose translations differ from sentence to sentence
SENTENCES = ("the dog sees a cat .", "the cat runs .", "a dog runs and the cat sees", "s the , a", "dog")


def gnmt_bulk(*arguments) -> None:
    """Runs `gnmt bulk` with arguments."""
    run_module(bulk, "gnmt bulk", list(map(str, arguments)))


def planned(model: Path, source: Path, output: Path, *options) -> Path:
    """Cuts the input into shards, without translating any; returns the folder."""
    gnmt_bulk(model, "--input", source, "--output", output, "--engine", "print", *options)
    return output


def translated(model: Path, source: Path, output: Path, *options) -> Path:
    """Translates all shards in this process; returns the folder."""
    planned(model, source, output, *options)
    waiting = todo(BulkFolder(output), read_manifest(BulkFolder(output)))
    if waiting:
        gnmt_bulk("shard", output, *waiting)
    return output


def expected_texts(model: Path, texts: List[str], **options) -> List[str]:
    """Returns the translations that the library gives."""
    return [one.text for one in Translator.from_pretrained(model).translate(texts, **options)]
