"""Segmentations of a prepared corpus: how its text becomes tokens, and which tokens the vocabulary has."""

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

MULTIPLE = 8  # half precision is fast for vocabularies of a multiple of it
UNPADDED = "dict.unpadded.txt"


class Segmentation(Protocol):
    """One way to segment text; its files are written to the folder that it was created with."""

    @property
    def model(self) -> Optional[Path]:
        """File of the model; None if there is none."""

    def learn(self, training: Sequence[Path]) -> None:
        """Writes the model, learnt from both languages together."""

    def encode(self, text: Path, output: Path) -> None:
        """Writes the tokens of each line, separated by spaces."""

    def write_dictionary(self, training: Sequence[Path], output: Path) -> None:
        """Writes fairseq's dictionary, a line `token count` for each token."""


@dataclass
class Subwords:
    """Joint sentencepiece model of type "bpe", or of type "char" for single characters."""

    folder: Path
    vocab_size: int
    jobs: int
    lines: Optional[int] = None  # training lines that the model is learnt from, at most
    type: str = "bpe"

    @property
    def model(self) -> Path:
        return self.folder / "subwords.model"

    def learn(self, training: Sequence[Path]) -> None:
        train_subwords(
            training, str(self.model.with_suffix("")), self.vocab_size, model_type=self.type,
            input_sentence_size=self.lines or LINES_IN_MEMORY, overwrite=True,
        )  # fmt: skip

    def encode(self, text: Path, output: Path) -> None:
        subwords.encode_file(self.model, text, output, jobs=self.jobs, overwrite=True)

    def write_dictionary(self, training: Sequence[Path], output: Path) -> None:
        subwords.write_dictionary(self.model, output, overwrite=True)


@dataclass
class Characters(Subwords):
    """Single characters."""

    type: str = "char"


@dataclass
class Mixed:
    """Frequent words, and all others in characters."""

    folder: Path
    vocab_size: int
    jobs: int
    lines: Optional[int] = None

    @property
    def model(self) -> Path:
        return self.folder / "mixed.json"

    def learn(self, training: Sequence[Path]) -> None:
        mixed_word_char.train(training, self.vocab_size, self.model, jobs=self.jobs, overwrite=True)

    def encode(self, text: Path, output: Path) -> None:
        encode = load_vocabulary(self.model).encode
        convert_file(encode, text, output, inputs=[self.model], jobs=self.jobs, overwrite=True)

    def write_dictionary(self, training: Sequence[Path], output: Path) -> None:
        mixed_word_char.write_dictionary(self.model, output, overwrite=True)


@dataclass
class Words:
    """Words and punctuation; words outside the vocabulary are unknown."""

    folder: Path
    vocab_size: int
    jobs: int
    lines: Optional[int] = None

    @property
    def model(self) -> None:
        return None

    def learn(self, training: Sequence[Path]) -> None:
        """Does nothing: there is no model."""

    def encode(self, text: Path, output: Path) -> None:
        convert_file(encode_words, text, output, jobs=self.jobs, overwrite=True)

    def write_dictionary(self, training: Sequence[Path], output: Path) -> None:
        words.write_dictionary(training, self.vocab_size, output, jobs=self.jobs, overwrite=True)


SEGMENTATIONS: Dict[str, Callable[..., Segmentation]] = {
    "subwords": Subwords,
    "word": Words,
    "character": Characters,
    "mixed": Mixed,
}


def write_padded_dictionary(segmentation: Segmentation, training: Sequence[Path], output: Path) -> None:
    """Writes the dictionary, extended to a multiple of 8 tokens by tokens that do not occur.

    fairseq-preprocess extends only dictionaries that it builds itself; the added tokens have the same names.
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
