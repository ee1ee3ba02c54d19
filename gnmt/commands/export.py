"""Exports a checkpoint of fairseq-train to a model folder, which needs neither fairseq nor pickle.

    gnmt export checkpoints/averaged.pt MODEL
    gnmt export checkpoints/averaged.pt MODEL --precision int8 --check test.en test.de --overwrite

The folder is loaded, tested and compared with the checkpoint before it gets its name.
"""

import argparse
import dataclasses
import shlex
from pathlib import Path
from typing import List, Optional, Sequence

import torch

from gnmt.checkpoints.fairseq_checkpoint import TrainedModel, read_checkpoint
from gnmt.checkpoints.model_card import Check, TrainingData, model_card
from gnmt.checkpoints.model_folder import Model, TokenizerFiles, is_model_folder, write_model_folder
from gnmt.corpora.preparation import SETTINGS, read_lengths, read_settings
from gnmt.errors import UserError
from gnmt.evaluation.bleu import corpus_bleu
from gnmt.files.folders import complete_folder
from gnmt.files.lines import read_lines
from gnmt.files.progress import progress_bar
from gnmt.precision import PRECISIONS
from gnmt.tokenizers.tokenizer import TOKENIZERS, load_tokenizers
from gnmt.tokenizers.vocabulary import SPECIAL_TOKENS
from gnmt.translator import Translator

EXACT_PRECISIONS = ("fp32", "bf16", "int8")  # the stored weights give equal translations in this precision
SAMPLES, SAMPLE_LENGTHS = 20, (1, 12)  # random sources for the comparison


def export(
    checkpoint: Path,
    folder: Path,
    data: Optional[Path] = None,
    tokenizer: Optional[str] = None,
    precision: Optional[str] = None,
    test_set: Optional[Sequence[Path]] = None,
    overwrite: bool = False,
) -> Optional[Check]:
    """Writes a model folder.

    Args:
        checkpoint: checkpoint of fairseq-train.
        folder: folder to write.
        data: folder of fairseq-preprocess; None means the folder named in the checkpoint.
        tokenizer: file or name of the tokenizer; None means the file that was prepared with the data.
        precision: precision of the stored weights; None means the checkpoint's own.
        test_set: source and reference to translate and score before the folder gets its name.
        overwrite: replace an existing model folder.

    Returns:
        BLEU on the test set, if there is one.

    Raises:
        UserError: if a file is missing or unsuitable, the folder exists and may not be replaced, or the written model
            and the checkpoint give different translations.
    """
    trained = read_checkpoint(checkpoint, data)
    if precision is not None:
        trained = trained._replace(config=dataclasses.replace(trained.config, precision=precision))
    files = tokenizer_files(tokenizer, data or Path(str(trained.options["task"].get("data", "")).split(":")[0]))
    with complete_folder(folder, replaces=is_model_folder, overwrite=overwrite) as new_folder:
        _write(new_folder, trained, files, check=None)
        translator = Translator.from_pretrained(new_folder)
        _compare(trained, translator, new_folder)
        check = None if test_set is None else _checked(translator, *test_set)
        if check is not None:
            for path in new_folder.iterdir():
                path.unlink()
            _write(new_folder, trained, files, check)
    return check


def tokenizer_files(given: Optional[str], data: Path) -> TokenizerFiles:
    """Returns the tokenizer given by its file or name, or the tokenizer that was prepared with the data.

    Raises:
        UserError: if there is none, or its type is unknown.

    Args:
        given: file or name of a tokenizer; None selects the file in or next to the folder of the data.
        data: folder of fairseq-preprocess.
    """
    if given in ("words", "spaces"):
        return TokenizerFiles(given)
    if given is not None:
        return _of_file(Path(given))
    for folder in (data, data.parent):
        for name in ("subwords.model", "mixed.json"):
            if (folder / name).is_file():
                return _of_file(folder / name)
    raise UserError(
        f"There is no tokenizer next to {data}: pass its file with --tokenizer, or pass --tokenizer spaces."
    )


def _of_file(path: Path) -> TokenizerFiles:
    kinds = {".model": "sentencepiece", ".spm": "sentencepiece", ".json": "mixed_word_char"}
    if not path.is_file():
        raise UserError(f"The tokenizer {path} does not exist; the names are {', '.join(TOKENIZERS)}.")
    if path.suffix not in kinds:
        raise UserError(f"The tokenizer {path} has an unknown type: its name must end in {', '.join(kinds)}.")
    return TokenizerFiles(kinds[path.suffix], path, path)


def _write(folder: Path, trained: TrainedModel, files: TokenizerFiles, check: Optional[Check]) -> None:
    card = model_card(trained, files.type, check, _training_data(trained.data))
    write_model_folder(
        folder, trained.network, trained.config, trained.generation, trained.source_vocabulary,
        trained.target_vocabulary, files, card,
    )  # fmt: skip


def _training_data(folder: Optional[Path]) -> Optional[TrainingData]:
    """Returns the corpora of a folder `bin` of `gnmt prepare`; None for other data."""
    if folder is None:
        return None
    prepared = folder.absolute().parent
    try:
        settings, lengths = read_settings(prepared / SETTINGS), read_lengths(prepared)
    except UserError:
        return None
    return TrainingData([Path(name).name for name in settings.train], prepared.name, sum(lengths))


def _compare(trained: TrainedModel, translator: Translator, folder: Path) -> None:
    """Compares the written model with the checkpoint: translates random sources with both.

    Translations may differ if weights were rounded to 16 bits.

    Args:
        trained: model of the checkpoint.
        translator: translator of the written folder.
        folder: written folder, whose tokenizer is used.

    Raises:
        UserError: if the translations differ.
    """
    original = Translator([Model(*trained[:5], tokenizers=load_tokenizers(folder))], translator.precision)
    sources = _random_sources(len(trained.source_vocabulary))
    expected, exported = (model.translate_ids(sources) for model in (original, translator))
    if expected != exported and trained.config.precision in EXACT_PRECISIONS:
        raise UserError(
            "The exported model does not give the same translations as the checkpoint. Nothing was written; please report this bug."
        )


def _random_sources(vocabulary_size: int) -> List[List[int]]:
    generator = torch.Generator().manual_seed(1)
    lengths = torch.randint(*SAMPLE_LENGTHS, (SAMPLES,), generator=generator).tolist()
    return [
        torch.randint(len(SPECIAL_TOKENS), vocabulary_size, (length,), generator=generator).tolist()
        for length in lengths
    ]


def _checked(translator: Translator, source: Path, reference: Path) -> Check:
    sources, references = read_lines(source), read_lines(reference)
    if len(sources) != len(references):
        raise UserError(
            f"{source} has {len(sources)} lines and {reference} {len(references)}: give a translation of each line."
        )
    progress = progress_bar(translator.stream(sources), total=len(sources), name=source.name, unit="lines")
    translations = [translation.text for translation in progress]
    score, signature = corpus_bleu(translations, references)
    return Check(source, reference, score.score, signature)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of the command."""
    parser.add_argument("checkpoint", type=Path, help="checkpoint of fairseq-train")
    parser.add_argument("model", type=Path, help="folder to write")
    parser.add_argument(
        "--data", type=Path, metavar="BIN", help="folder of fairseq-preprocess (default: the checkpoint's)"
    )
    parser.add_argument(
        "--tokenizer",
        metavar="FILE",
        help="sentencepiece model, mixed.json, 'words' or 'spaces' (default: the file beside the data)",
    )
    parser.add_argument(
        "--precision", choices=PRECISIONS, help="precision of the stored weights (default: the checkpoint's)"
    )
    parser.add_argument(
        "--check",
        type=Path,
        nargs=2,
        metavar=("SOURCE", "REFERENCE"),
        help="translate and score a test set; the model card contains its BLEU",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing model folder with all its files")


def run(arguments: argparse.Namespace) -> None:
    """Runs the command."""
    check = export(
        arguments.checkpoint, arguments.model, arguments.data, arguments.tokenizer, arguments.precision, arguments.check,
        arguments.overwrite,
    )  # fmt: skip
    print(f"{arguments.model}: exported, and translates as {arguments.checkpoint} does")
    if check is not None:
        print(f"BLEU {check.bleu:.2f} {check.signature}")
    print(f"next: {shlex.join(['gnmt', 'translate', str(arguments.model)])}")
