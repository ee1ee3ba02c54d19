"""Tokenizers: conversion between text and tokens. The table `TOKENIZERS` lists all of them.

A tokenizer is created from its own file, or without a file; `tokenizer.json` of a model folder names its type:

    {"type": "sentencepiece", "source": "source.spm", "target": "target.spm"}
    {"type": "words", "source": null, "target": null}
"""

import io
import json
import shutil
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Protocol, Sequence, Set

from gnmt.errors import UserError
from gnmt.extras import remedy
from gnmt.files.json_objects import read_object
from gnmt.tokenizers import word_tokenizer
from gnmt.tokenizers.subword_codes import parse_codes
from gnmt.tokenizers.subwords import load_model
from gnmt.tokenizers.word_tokenizer import SPACE_MARK, UNKNOWN
from gnmt.tokenizers.word_vocabulary import load_vocabulary

DESCRIPTION = "tokenizer.json"
UNKNOWN_TEXT = "\u2047"


class Tokenizer(Protocol):
    """Interface of tokenizers: conversion between text and tokens."""

    def encode(self, text: str) -> List[str]:
        """Returns the tokens of one sentence."""

    def decode(self, tokens: Sequence[str]) -> str:
        """Returns the text of tokens; unknown tokens become "⁇"."""


class SentencePieceTokenizer:
    """Tokenizer with the subwords of a sentencepiece model."""

    def __init__(self, path: Path):
        """Loads the model.

        Raises:
            UserError: if `path` is not a sentencepiece model.
        """
        self._processor = load_model(path)

    def encode(self, text: str) -> List[str]:
        """Returns the subwords of one sentence."""
        return " ".join(self._processor.encode(text, out_type=str)).split()

    def decode(self, tokens: Sequence[str]) -> str:
        """Returns the text of subwords; unknown tokens become "⁇"."""
        text = "".join(f"{SPACE_MARK}{UNKNOWN_TEXT}{SPACE_MARK}" if token == UNKNOWN else token for token in tokens)
        return text.replace(SPACE_MARK, " ").strip()


class WordTokenizer:
    """Tokenizer into words and punctuation; words outside the vocabulary are unknown."""

    def encode(self, text: str) -> List[str]:
        """Returns the words of one sentence."""
        return word_tokenizer.encode_words(text).split()

    def decode(self, tokens: Sequence[str]) -> str:
        """Returns the text of words; unknown tokens become "⁇"."""
        return word_tokenizer.decode(" ".join(tokens))


class MixedTokenizer:
    """Tokenizer into frequent words, and characters for all other words (Wu et al. 2016, section 4.2)."""

    def __init__(self, path: Path):
        """Loads the vocabulary.

        Raises:
            UserError: if `path` is not a model of mixed words and characters.
        """
        self._vocabulary = load_vocabulary(path)

    def encode(self, text: str) -> List[str]:
        """Returns the words and characters of one sentence."""
        return self._vocabulary.encode(text).split()

    def decode(self, tokens: Sequence[str]) -> str:
        """Returns the text of words and characters; unknown tokens become "⁇"."""
        return word_tokenizer.decode(" ".join(tokens))


class SpaceTokenizer:
    """Tokenizer for tokenised text: tokens are separated by white space."""

    def encode(self, text: str) -> List[str]:
        """Returns the tokens of one tokenised sentence."""
        return text.split()

    def decode(self, tokens: Sequence[str]) -> str:
        """Returns tokens as text, separated by spaces; unknown tokens are kept."""
        return " ".join(tokens)


class MosesSubwordTokenizer:
    """Moses tokens split by subword-nmt, as in NVIDIA's GNMT; needs the extra `nvidia`."""

    def __init__(self, path: Path):
        """Reads a JSON object with "codes" (lines of merges), "separator" and "language".

        Raises:
            UserError: if sacremoses or subword-nmt is not installed, or the object is malformed.
        """
        try:
            from sacremoses import MosesDetokenizer, MosesTokenizer
            from subword_nmt.apply_bpe import BPE
        except ImportError as error:
            raise UserError(f"This model needs {error.name}: {remedy('nvidia')}.") from error
        settings = read_object(path)
        _check_moses_settings(settings, path)
        self._tokenizer = MosesTokenizer(settings["language"])
        self._detokenizer = MosesDetokenizer(settings["language"])
        self._separator = settings["separator"]
        codes = parse_codes(settings["codes"], path)
        self._subwords = BPE(io.StringIO(codes.text()), separator=self._separator)

    def encode(self, text: str) -> List[str]:
        """Returns the subwords of one sentence."""
        tokens = self._tokenizer.tokenize(text, aggressive_dash_splits=False, return_str=True)
        return self._subwords.process_line(tokens).split()

    def decode(self, tokens: Sequence[str]) -> str:
        """Returns the text of subwords; unknown tokens become "⁇"."""
        words = (" ".join(tokens) + " ").replace(f"{self._separator} ", "").split()
        return self._detokenizer.detokenize([UNKNOWN_TEXT if word == UNKNOWN else word for word in words])


def _check_moses_settings(settings: Dict[str, Any], path: Path) -> None:
    codes = settings.get("codes")
    is_text = all(isinstance(settings.get(name), str) for name in ("separator", "language"))
    if not is_text or not isinstance(codes, list) or not codes or not all(map(_is_line, codes)):
        raise UserError(f"{path} needs a separator, a language, and codes of subword-nmt, two pieces on each line.")


def _is_line(code: Any) -> bool:
    return isinstance(code, str) and "\n" not in code


class TokenizerType(NamedTuple):
    """Row of the table of tokenizers."""

    load: Callable[[Any], Tokenizer]  # function of the path of the tokenizer's file, or of None
    suffix: Optional[str]  # suffix of the tokenizer's file; None if it has no file


TOKENIZERS: Dict[str, TokenizerType] = {
    "sentencepiece": TokenizerType(SentencePieceTokenizer, ".spm"),
    "words": TokenizerType(lambda path: WordTokenizer(), None),
    "mixed_word_char": TokenizerType(MixedTokenizer, ".mixed.json"),
    "moses_subword_nmt": TokenizerType(MosesSubwordTokenizer, ".bpe.json"),
    "spaces": TokenizerType(lambda path: SpaceTokenizer(), None),
}


class TokenizerPair(NamedTuple):
    """Tokenizers of source and target language."""

    source: Tokenizer
    target: Tokenizer


def save_tokenizers(folder: Path, name: str, source: Optional[Path], target: Optional[Path]) -> None:
    """Copies tokenizer files into a model folder and writes tokenizer.json.

    Args:
        folder: existing folder.
        name: key of TOKENIZERS.
        source: file of the source tokenizer; None for a tokenizer without a file.
        target: file of the target tokenizer, which may be the same; None for a tokenizer without a file.

    Raises:
        UserError: if the type of tokenizer needs a file and none is given.
    """
    suffix = TOKENIZERS[name].suffix
    files: Dict[str, Optional[str]] = {"source": None, "target": None}
    if suffix is not None:
        is_joint = source == target
        for side, path in (("source", source), ("target", target)):
            if path is None:
                raise UserError(f"A tokenizer of type {name} needs a file: name it.")
            file = f"{'joint' if is_joint else side}{suffix}"
            files[side] = file
            shutil.copyfile(path, folder / file)
    (folder / DESCRIPTION).write_text(json.dumps({"type": name, **files}, indent=2) + "\n", encoding="utf-8")


def tokenizer_files(folder: Path) -> Set[str]:
    """Returns the names of the files that `load_tokenizers` reads.

    Raises:
        UserError: if tokenizer.json is missing or malformed.
    """
    description = read_object(folder / DESCRIPTION)
    names = (description.get(side) for side in TokenizerPair._fields)
    return {DESCRIPTION, *(name for name in names if isinstance(name, str))}


def load_tokenizers(folder: Path) -> TokenizerPair:
    """Returns the tokenizers of a model folder.

    Raises:
        UserError: if tokenizer.json or a file that it names is missing or malformed.
    """
    path = folder / DESCRIPTION
    description = read_object(path)
    kind = description.get("type")
    if not isinstance(kind, str) or kind not in TOKENIZERS:
        raise UserError(f"{path} has the type {kind!r}; this version supports {', '.join(TOKENIZERS)}.")
    sides = [_load(folder, TOKENIZERS[kind], description.get(side)) for side in TokenizerPair._fields]
    return TokenizerPair(*sides)


def _load(folder: Path, kind: TokenizerType, name: Any) -> Tokenizer:
    if kind.suffix is None:
        return kind.load(None)
    if not isinstance(name, str) or Path(name).name != name or not name.endswith(kind.suffix):
        raise UserError(
            f"{folder / DESCRIPTION} names the file {name!r}, but must name a {kind.suffix} file of its folder."
        )
    return kind.load(folder / name)
