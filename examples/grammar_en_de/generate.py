#!/usr/bin/env python3
"""Writes the generated English-German corpus: train, valid and test as raw text.

Example:

    python examples/grammar_en_de/generate.py --output DIR
"""

import argparse
import sys
from pathlib import Path
from typing import Dict, List

from corpus import make_corpus
from grammar import Pair

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the checkout, installed or not
from gnmt.commands.process import prepare_process  # noqa: E402
from gnmt.files.outputs import atomic_outputs  # noqa: E402

SPLITS = ("train", "valid", "test")
LANGUAGES = {"en": "english", "de": "german"}


def main() -> None:
    """Runs the command line; a user error ends with a one-sentence message and exit code 1."""
    prepare_process()
    arguments = _parser().parse_args()
    try:
        check_output(arguments.output, arguments.overwrite)
        corpus = make_corpus({name: getattr(arguments, name) for name in SPLITS}, arguments.seed)
        write_corpus(corpus, arguments.output)
    except (ValueError, OSError) as error:
        sys.exit(f"generate.py: {error}")
    sizes = ", ".join(f"{len(pairs)} {name}" for name, pairs in corpus.items())
    print(f"wrote {sizes} pairs (seed {arguments.seed}) to {arguments.output}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Write the generated English-German corpus.")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="where to write; created if missing")
    parser.add_argument("--train", type=int, default=30_000, metavar="N", help="training pairs (default: %(default)s)")
    parser.add_argument("--valid", type=int, default=500, metavar="N", help="validation pairs (default: %(default)s)")
    parser.add_argument("--test", type=int, default=500, metavar="N", help="test pairs (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="same seed and sizes, same files (default: %(default)s)")
    parser.add_argument("--overwrite", action="store_true", help="replace the files if they exist")
    return parser


def check_output(folder: Path, overwrite: bool) -> None:
    """Creates the folder. Raises FileExistsError if files would be replaced without permission."""
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"--output {folder} is a file; name a folder")
    existing = [name for name in _file_names() if (folder / name).exists()]
    if existing and not overwrite:
        raise FileExistsError(f"{folder} already has {', '.join(existing)}; add --overwrite or name another folder")
    folder.mkdir(parents=True, exist_ok=True)


def write_corpus(corpus: Dict[str, List[Pair]], folder: Path) -> None:
    """Writes one sentence per line; existing files are replaced only when all new files are complete."""
    with atomic_outputs([folder / name for name in _file_names()], inputs=[], overwrite=True) as files:
        file_of = dict(zip(_file_names(), files))
        for name, pairs in corpus.items():
            for suffix, language in LANGUAGES.items():
                file_of[f"{name}.{suffix}"].writelines(f"{getattr(item, language)}\n".encode("utf-8") for item in pairs)


def _file_names() -> List[str]:
    return [f"{name}.{suffix}" for name in SPLITS for suffix in LANGUAGES]


if __name__ == "__main__":
    main()
