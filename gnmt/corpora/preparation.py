"""From raw parallel text to the folder that `gnmt train` reads.

    DIR/raw/{train,valid,test}.LANG   text as it came, unpacked
    DIR/clean/train.LANG              training pairs that are kept; train.cleaning.json counts the others
    DIR/subwords.model or mixed.json  the tokenizer's model, if it has one
    DIR/encoded/*.LANG                tokens
    DIR/dict.txt                      the joint vocabulary
    DIR/embeddings.txt                vectors that embeddings begin with
    DIR/prepare.json                  the settings, and the number of training pairs
"""
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

from gnmt.corpora.cleaning import CleanOutputs, clean_corpus
from gnmt.corpora.cleaning_rules import CleaningRules
from gnmt.corpora.cooccurrence import write_vectors
from gnmt.corpora.packed_files import PairFiles
from gnmt.errors import UserError
from gnmt.files.line_conversion import convert_file
from gnmt.files.outputs import atomic_outputs
from gnmt.tokenizers import mixed_word_char, subwords, words
from gnmt.tokenizers.subword_training import train_subwords
from gnmt.tokenizers.vocabulary import SPECIAL_TOKENS
from gnmt.tokenizers.word_tokenizer import encode_words
from gnmt.tokenizers.word_vocabulary import load_vocabulary

SPLITS = ("train", "valid", "test")
SEGMENTATIONS = ("subwords", "character", "word", "mixed")
SETTINGS = "prepare.json"
MULTIPLE = 8  # half precision is fast for vocabularies of a multiple of it


@dataclass(frozen=True)
class Preparation:
    """Settings of a preparation."""

    source_language: str
    target_language: str
    train: Tuple[str, ...]  # corpora, each by its name without languages
    valid: str
    test: str
    segmentation: str = "subwords"
    vocab_size: int = 8000
    embedding_size: Optional[int] = 256  # None: no vectors

    def __post_init__(self) -> None:
        if self.segmentation not in SEGMENTATIONS:
            raise UserError(f"--segmentation is {self.segmentation}, but must be one of {', '.join(SEGMENTATIONS)}.")
        if self.source_language == self.target_language:
            raise UserError(f"--source-lang and --target-lang are both {self.source_language}, but must differ.")

    @property
    def languages(self) -> Tuple[str, str]:
        """Source and target."""
        return self.source_language, self.target_language


class Step(NamedTuple):
    """Part of a preparation: skipped if its product is there."""

    purpose: str
    product: Path
    make: Callable[[], object]


def steps(settings: Preparation, folder: Path, jobs: int, rules: CleaningRules) -> List[Step]:
    """Returns the steps before fairseq's binarisation, in order.

    Args:
        settings: of the preparation.
        folder: where the products go.
        jobs: number of processes.
        rules: for cleaning the training pairs.
    """
    source, target = settings.languages
    raw, clean, encoded = (folder / name for name in ("raw", "clean", "encoded"))
    training = [clean / f"train.{language}" for language in settings.languages]
    made = [
        Step(f"reading {split}", raw / f"{split}.{target}", lambda split=split, names=names: unpack(settings, names, raw / split))
        for split, names in (("train", settings.train), ("valid", (settings.valid,)), ("test", (settings.test,)))
    ]
    raw_train = [raw / f"train.{language}" for language in settings.languages]
    outputs = CleanOutputs.with_prefix(str(clean / "train"), source, target)
    made.append(
        Step(
            "cleaning the training pairs", training[1],
            lambda: clean_corpus(raw_train[:1], raw_train[1:], outputs, rules, drop_duplicates=False, jobs=jobs, overwrite=True),
        )
    )  # fmt: skip
    segmentation = SEGMENTATION[settings.segmentation](settings, folder, jobs)
    if segmentation.model is not None:
        made.append(Step(f"learning {settings.segmentation}", segmentation.model, lambda: segmentation.learn(training)))
    for split in SPLITS:
        for language in settings.languages:
            text = (clean if split == "train" else raw) / f"{split}.{language}"
            product = encoded / f"{split}.{language}"
            made.append(
                Step(f"encoding {product.name}", product, lambda text=text, product=product: segmentation.encode(text, product))
            )
    made.append(Step("writing the vocabulary", folder / "dict.txt", lambda: write_vocabulary(segmentation, training, folder / "dict.txt")))
    if settings.embedding_size is not None:
        encoded_train = [encoded / f"train.{language}" for language in settings.languages]
        vectors = folder / "embeddings.txt"
        made.append(
            Step(
                "making vectors of tokens", vectors,
                lambda: write_vectors(*encoded_train, folder / "dict.txt", settings.embedding_size, vectors, overwrite=True),
            )
        )  # fmt: skip
    return made


def unpack(settings: Preparation, names: Sequence[str], prefix: Path) -> None:
    """Writes corpora, one after the other, as PREFIX.SOURCE and PREFIX.TARGET."""
    outputs = [Path(f"{prefix}.{language}") for language in settings.languages]
    with atomic_outputs(outputs, inputs=[], overwrite=True) as (source_file, target_file):
        for name in names:
            for source, target in PairFiles.find(name, *settings.languages).pairs():
                source_file.write(source + b"\n")
                target_file.write(target + b"\n")


# -- segmentations


class SubwordSegmentation:
    """Joint sentencepiece BPE, or characters."""

    def __init__(self, settings: Preparation, folder: Path, jobs: int):
        self.settings, self.jobs = settings, jobs
        self.model: Optional[Path] = folder / "subwords.model"

    def learn(self, training: Sequence[Path]) -> None:
        kind = "char" if self.settings.segmentation == "character" else "bpe"
        prefix = str(self.model.with_suffix(""))
        train_subwords(training, prefix, self.settings.vocab_size, model_type=kind, overwrite=True)

    def encode(self, text: Path, output: Path) -> None:
        subwords.encode_file(self.model, text, output, jobs=self.jobs, overwrite=True)

    def write_dictionary(self, training: Sequence[Path], output: Path) -> None:
        subwords.write_dictionary(self.model, output, overwrite=True)


class MixedSegmentation:
    """Frequent words, and characters for all others."""

    def __init__(self, settings: Preparation, folder: Path, jobs: int):
        self.settings, self.jobs = settings, jobs
        self.model: Optional[Path] = folder / "mixed.json"

    def learn(self, training: Sequence[Path]) -> None:
        mixed_word_char.train(training, self.settings.vocab_size, self.model, jobs=self.jobs, overwrite=True)

    def encode(self, text: Path, output: Path) -> None:
        vocabulary = load_vocabulary(self.model)
        convert_file(vocabulary.encode, text, output, inputs=[self.model], jobs=self.jobs, overwrite=True)

    def write_dictionary(self, training: Sequence[Path], output: Path) -> None:
        mixed_word_char.write_dictionary(self.model, output, overwrite=True)


class WordSegmentation:
    """Words and punctuation; rare words are unknown."""

    model: Optional[Path] = None

    def __init__(self, settings: Preparation, folder: Path, jobs: int):
        self.settings, self.jobs = settings, jobs

    def learn(self, training: Sequence[Path]) -> None:
        """Does nothing: words need no model."""

    def encode(self, text: Path, output: Path) -> None:
        convert_file(encode_words, text, output, jobs=self.jobs, overwrite=True)

    def write_dictionary(self, training: Sequence[Path], output: Path) -> None:
        words.write_dictionary(training, self.settings.vocab_size, output, jobs=self.jobs, overwrite=True)


SEGMENTATION: Dict[str, Callable] = {
    "subwords": SubwordSegmentation,
    "character": SubwordSegmentation,
    "word": WordSegmentation,
    "mixed": MixedSegmentation,
}


def write_vocabulary(segmentation, training: Sequence[Path], output: Path) -> None:
    """Writes the vocabulary in fairseq's format, filled up to a multiple of 8 with tokens that no text has."""
    making = output.with_suffix(".partial")
    segmentation.write_dictionary(training, making)
    lines = making.read_text(encoding="utf-8").split("\n")[:-1]
    missing = -(len(lines) + len(SPECIAL_TOKENS)) % MULTIPLE
    lines += [f"madeupword{index:04d} 0" for index in range(missing)]
    with atomic_outputs([output], inputs=[making], overwrite=True) as (file,):
        file.write("".join(f"{line}\n" for line in lines).encode("utf-8"))
    making.unlink()


# -- settings


def write_settings(folder: Path, settings: Preparation, pairs: int) -> None:
    """Writes prepare.json, which says that a preparation is complete."""
    content = json.dumps({**asdict(settings), "training_pairs": pairs}, indent=2, ensure_ascii=False)
    with atomic_outputs([folder / SETTINGS], inputs=[], overwrite=True) as (file,):
        file.write(f"{content}\n".encode("utf-8"))


def read_settings(folder: Path) -> Tuple[Preparation, int]:
    """Returns the settings of a complete preparation and its number of training pairs.

    Raises:
        UserError: there is none.
    """
    path = folder / SETTINGS
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        pairs = int(content.pop("training_pairs"))
        content["train"] = tuple(content["train"])
        return Preparation(**content), pairs
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(f"{folder} has no complete preparation ({type(error).__name__}): run `gnmt prepare --output {folder}`.") from error
