"""Segmentations of a prepared corpus: conversion of text to tokens, and the vocabulary."""

from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, Optional, Protocol, Sequence

from gnmt.files.line_conversion import convert_file
from gnmt.files.lines import read_lines
from gnmt.files.outputs import atomic_outputs
from gnmt.tokenizers import mixed_word_char, subwords, words
from gnmt.tokenizers.subword_training import LINES_IN_MEMORY, train_subwords
from gnmt.tokenizers.vocabulary import SPECIAL_TOKENS
from gnmt.tokenizers.word_tokenizer import encode_words
from gnmt.tokenizers.word_vocabulary import load_vocabulary

MULTIPLE = 8  # products in half precision are fastest for vocabulary sizes of a multiple of 8
UNPADDED = "dict.unpadded.txt"


class Segmentation(Protocol):
    """Interface of segmentations; files are written to the folder given to the constructor."""

    @property
    def model(self) -> Optional[Path]:
        """Path of the model; None if there is none."""

    def learn(self, training: Sequence[Path]) -> None:
        """Learns the model from both languages together, and writes it."""

    def encode(self, text: Path, output: Path) -> None:
        """Writes the tokens of each line, separated by spaces.

        Args:
            text: text file.
            output: file to write.
        """

    def write_dictionary(self, training: Sequence[Path], output: Path) -> None:
        """Writes fairseq's dictionary, a line `token count` for each token.

        Args:
            training: training text in tokens.
            output: file to write.
        """


@dataclass
class Subwords:
    """Joint sentencepiece model of type "bpe", or of type "char" for single characters."""

    folder: Path
    vocab_size: int
    jobs: int
    lines: Optional[int] = None  # maximum number of training lines to learn the model from
    type: str = "bpe"

    @property
    def model(self) -> Path:
        """Path of the sentencepiece model."""
        return self.folder / "subwords.model"

    def learn(self, training: Sequence[Path]) -> None:
        """Learns the model from both languages together, and writes it."""
        train_subwords(
            training, str(self.model.with_suffix("")), self.vocab_size, model_type=self.type,
            input_sentence_size=self.lines or LINES_IN_MEMORY, overwrite=True,
        )  # fmt: skip

    def encode(self, text: Path, output: Path) -> None:
        """Writes the subwords of each line of `text` to `output`."""
        subwords.encode_file(self.model, text, output, jobs=self.jobs, overwrite=True)

    def write_dictionary(self, training: Sequence[Path], output: Path) -> None:
        """Writes all pieces of the model to `output`; does not read `training`."""
        subwords.write_dictionary(self.model, output, overwrite=True)


@dataclass
class Characters(Subwords):
    """Segmentation into single characters."""

    type: str = "char"


@dataclass
class Mixed:
    """Segmentation into frequent words, and characters for all other words."""

    folder: Path
    vocab_size: int
    jobs: int
    lines: Optional[int] = None

    @property
    def model(self) -> Path:
        """Path of the model of words and characters."""
        return self.folder / "mixed.json"

    def learn(self, training: Sequence[Path]) -> None:
        """Learns the model from both languages together, and writes it."""
        mixed_word_char.train(training, self.vocab_size, self.model, jobs=self.jobs, overwrite=True)

    def encode(self, text: Path, output: Path) -> None:
        """Writes the words and characters of each line of `text` to `output`."""
        encode = load_vocabulary(self.model).encode
        convert_file(encode, text, output, inputs=[self.model], jobs=self.jobs, overwrite=True)

    def write_dictionary(self, training: Sequence[Path], output: Path) -> None:
        """Writes all tokens of the model to `output`; does not read `training`."""
        mixed_word_char.write_dictionary(self.model, output, overwrite=True)


@dataclass
class Words:
    """Segmentation into words and punctuation; words outside the vocabulary are unknown."""

    folder: Path
    vocab_size: int
    jobs: int
    lines: Optional[int] = None

    @property
    def model(self) -> None:
        """None: there is no model."""
        return None

    def learn(self, training: Sequence[Path]) -> None:
        """Does nothing: there is no model."""

    def encode(self, text: Path, output: Path) -> None:
        """Writes the words of each line of `text` to `output`."""
        convert_file(encode_words, text, output, jobs=self.jobs, overwrite=True)

    def write_dictionary(self, training: Sequence[Path], output: Path) -> None:
        """Writes the most frequent words of `training` to `output`."""
        words.write_dictionary(training, self.vocab_size, output, jobs=self.jobs, overwrite=True)


SEGMENTATIONS: Dict[str, Callable[..., Segmentation]] = {
    "subwords": Subwords,
    "word": Words,
    "character": Characters,
    "mixed": Mixed,
}


def write_padded_dictionary(segmentation: Segmentation, training: Sequence[Path], output: Path) -> None:
    """Writes the dictionary, padded to a multiple of 8 tokens by tokens that do not occur.

    fairseq-preprocess pads only its own dictionaries; the added tokens have the names of its padding.

    Args:
        segmentation: segmentation of the corpus.
        training: training text in tokens.
        output: file to write.
    """
    unpadded = output.with_name(UNPADDED)
    segmentation.write_dictionary(training, unpadded)
    lines = read_lines(unpadded)
    known = {line.rpartition(" ")[0] for line in lines}
    number = 0
    while (len(lines) + len(SPECIAL_TOKENS)) % MULTIPLE:
        if f"madeupword{number:04d}" not in known:
            lines.append(f"madeupword{number:04d} 0")
        number += 1
    with atomic_outputs([output], inputs=[unpadded], overwrite=True) as (file,):
        file.write("".join(f"{line}\n" for line in lines).encode("utf-8"))
    unpadded.unlink()
