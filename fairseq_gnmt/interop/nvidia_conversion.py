"""Conversion between checkpoints of NVIDIA's GNMT v2 and of this plugin.

Only the parts for translation are converted, not the optimizer's state. Weights keep their precision.
"""

from pathlib import Path
from typing import Any, Dict, Tuple

import torch
from fairseq import options
from fairseq.data.data_utils import infer_language_pair
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.models import MODEL_REGISTRY
from omegaconf import OmegaConf

from fairseq_gnmt.models.gnmt import GNMTModel
from gnmt.checkpoints import nvidia_checkpoint
from gnmt.checkpoints.checkpoint_writing import CHECKPOINT, CODES, dictionary_text, initial_checkpoint
from gnmt.checkpoints.nvidia_checkpoint import NvidiaCheckpoint
from gnmt.checkpoints.nvidia_conversion import our_config, our_weights, their_weights
from gnmt.checkpoints.nvidia_vocabulary import our_vocabulary, their_symbols
from gnmt.checkpoints.training_parts import check_kind
from gnmt.checkpoints.training_state import architecture, read_training_state
from gnmt.errors import UserError
from gnmt.files.outputs import atomic_outputs
from gnmt.tokenizers.subword_codes import read_codes
from gnmt.tokenizers.vocabulary import Vocabulary

SEPARATOR = "@@"  # default of subword-nmt
READ_OPTIONS: Dict[str, Dict[str, Any]] = {  # options that are read from a checkpoint's configuration, with their types
    "model": {
        "attention_query": str, "encoder_layers": int, "decoder_layers": int, "hidden_size": int,
        "dropout": (int, float), "no_share_embeddings": bool,
    },
    "task": {"source_lang": (str, type(None)), "target_lang": (str, type(None))},
}  # fmt: skip


def to_fairseq(source: Path, folder: Path, overwrite: bool = False) -> None:
    """Writes checkpoint.pt, both dictionaries and bpecodes into a folder.

    Args:
        source: checkpoint of NVIDIA's GNMT v2.
        folder: folder to write to.
        overwrite: replace existing files.

    Raises:
        UserError: if source is not a complete checkpoint of NVIDIA's GNMT v2, or if a file exists (unless
            `overwrite`).
    """
    contents = nvidia_checkpoint.read(source)
    names = [CHECKPOINT, *(f"dict.{language}.txt" for language in contents.languages), CODES]
    with atomic_outputs([folder / name for name in names], inputs=[source], overwrite=overwrite) as files:
        vocabulary = our_vocabulary(contents.idx2tok, contents.vocabulary)
        weights = our_weights(contents, our_config(contents, precision="fp32"), source)
        checkpoint_file, *dictionary_files, codes_file = files
        checkpoint = initial_checkpoint(training_configuration(contents, folder), weights, source_bos=True)
        torch.save(checkpoint, checkpoint_file)
        for file in dictionary_files:
            file.write(dictionary_text(vocabulary).encode("utf-8"))
        codes_file.write(contents.codes.text().encode("utf-8"))


def training_configuration(contents: NvidiaCheckpoint, folder: Path) -> Dict[str, Any]:
    """Returns the configuration that fairseq-train stores for the options of NVIDIA's checkpoint.

    Args:
        contents: contents of NVIDIA's checkpoint.
        folder: folder of the dictionaries, which becomes the data folder.
    """
    source, target = contents.languages
    model = f"--arch gnmt_v2 --hidden-size {contents.hidden_size} --dropout {contents.dropout}".split()
    model += f"--encoder-layers {contents.layers} --decoder-layers {contents.layers}".split()
    model += [] if contents.shared_embeddings else ["--no-share-embeddings"]
    task = f"--task gnmt_translation --nvidia-conventions --source-lang {source} --target-lang {target}".split()
    # NVIDIA's Moses does not split at dashes inside words
    text = "--tokenizer moses --moses-no-dash-splits --bpe subword_nmt".split()
    text += ["--bpe-codes", str(folder / CODES), f"--bpe-separator={contents.separator}"]
    command_line = [str(folder), *model, *task, *text]
    arguments = options.parse_args_and_arch(options.get_training_parser(), command_line)
    return OmegaConf.to_container(convert_namespace_to_omegaconf(arguments), resolve=True, enum_to_str=True)


def to_nvidia(source: Path, data: Path, codes: Path, output: Path, overwrite: bool = False) -> None:
    """Writes a checkpoint for NVIDIA's translate.py.

    Args:
        source: checkpoint of this plugin.
        data: folder of fairseq-preprocess with the dictionaries.
        codes: file of `subword-nmt learn-bpe`.
        output: file to write.
        overwrite: replace an existing output.

    Raises:
        UserError: if NVIDIA's code could not have trained the checkpoint, or if output exists (unless `overwrite`).
    """
    with atomic_outputs([output], inputs=[source, codes], overwrite=overwrite) as (file,):
        checkpoint = read_training_state(source)
        check_convertible(checkpoint, source)
        model, task = checkpoint["cfg"]["model"], checkpoint["cfg"]["task"]
        languages = language_pair(task, data)
        symbols = their_symbols(joined_vocabulary(data, *languages))
        shared = not model["no_share_embeddings"]
        contents = NvidiaCheckpoint(
            weights=their_weights(checkpoint["model"], model["encoder_layers"], shared),
            hidden_size=model["hidden_size"],
            layers=model["encoder_layers"],
            dropout=model["dropout"],
            shared_embeddings=shared,
            vocabulary=len(symbols),
            idx2tok=dict(enumerate(symbols)),
            codes=read_codes(codes),
            separator=separator_of(checkpoint["cfg"].get("bpe")),
            languages=languages,
        )
        entries = len(contents.weights["decoder.classifier.classifier.bias"])
        if entries != len(symbols):
            raise UserError(
                f"{source} has {entries} words, but the dictionaries of {data} have {len(symbols)}: name the folder "
                "that it was trained on."
            )
        nvidia_checkpoint.write(contents, file)


def check_convertible(checkpoint: Dict[str, Any], path: Path) -> None:
    """Checks that NVIDIA's code supports the network of a checkpoint.

    Args:
        checkpoint: contents of the checkpoint.
        path: file, for errors.

    Raises:
        UserError: if NVIDIA's code does not support it.
    """
    if not issubclass(MODEL_REGISTRY.get(architecture(checkpoint), object), GNMTModel):
        raise UserError(f"{path} is of another architecture, but must be a GNMT of this plugin.")
    if not checkpoint.get("cfg"):
        raise UserError(f"{path} has options of an older fairseq, which cannot be converted: train with this plugin.")
    for section, kinds in READ_OPTIONS.items():
        check_kind(checkpoint["cfg"], section, dict, path, "cfg, ")
        for name, kind in kinds.items():
            check_kind(checkpoint["cfg"][section], name, kind, path, f"cfg, {section}, ")
    model = checkpoint["cfg"]["model"]
    if model["attention_query"] != "current" or model["encoder_layers"] != model["decoder_layers"]:
        raise UserError(
            f"{path} is of another network than NVIDIA's GNMT v2, which has equal numbers of encoder and decoder "
            "layers, and --attention-query current."
        )
    if model.get("activation_clip") is not None:
        raise UserError(f"{path} was trained with --activation-clip, and NVIDIA's code clips nothing.")
    if not checkpoint.get("task_state", {}).get("nvidia_conventions"):
        raise UserError(
            f"{path} was trained without --nvidia-conventions: NVIDIA's code would give it BOS tokens, which do not "
            "occur in its training."
        )


def separator_of(bpe: Any) -> str:
    """Returns the mark of word-internal subwords in a configuration of subword_nmt."""
    separator = bpe.get("bpe_separator") if isinstance(bpe, dict) else None
    return separator if isinstance(separator, str) else SEPARATOR


def language_pair(task: Dict[str, Any], data: Path) -> Tuple[str, str]:
    """Returns the languages of the training's options, or else the languages in the file names of its data.

    Args:
        task: stored options of the task.
        data: folder of fairseq-preprocess.

    Raises:
        UserError: if neither contains the languages.
    """
    pair = task["source_lang"], task["target_lang"]
    if None in pair:
        pair = infer_language_pair(str(data))
    if None in pair:
        raise UserError(f"{data} has no data of fairseq-preprocess, and no file names with the languages.")
    return pair


def joined_vocabulary(data: Path, source_lang: str, target_lang: str) -> Vocabulary:
    """Returns the vocabulary of a data folder.

    Args:
        data: folder of fairseq-preprocess.
        source_lang: source language.
        target_lang: target language.

    Raises:
        UserError: if its two languages have different vocabularies.
    """
    source, target = (
        Vocabulary.from_dictionary(data / f"dict.{language}.txt") for language in (source_lang, target_lang)
    )
    if source.tokens != target.tokens:
        raise UserError(f"{data} has two dictionaries, but NVIDIA's GNMT v2 has one for both languages.")
    return source
