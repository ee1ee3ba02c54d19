"""Settings of a preparation, and the file that records them.

Files:
    DIR/raw/{valid,test}.LANG          original text, uncompressed
    DIR/raw/train-N.LANG               columns of training corpora with two columns; others are not copied
    DIR/clean/train.LANG               kept training pairs; train.cleaning.json counts the others
    DIR/subwords.model or mixed.json   model of the segmentation, if it has one
    DIR/encoded/{train,valid,test}.LANG  tokens; train.lengths.json has the lengths of the training pairs
    DIR/dict.txt                       the joint vocabulary
    DIR/embeddings.txt                 initial embeddings
    DIR/pretrained                     checkpoint, dictionaries and tokenizer of the model to fine-tune
    DIR/bin                            data for fairseq-train
    DIR/prepare.json                   these settings; written last
"""

import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Set, Tuple

from gnmt.corpora.cleaning_rules import CleaningRules
from gnmt.corpora.cooccurrence import SIZES
from gnmt.corpora.pair_files import PairFiles, find_pair_files
from gnmt.corpora.segmentations import SEGMENTATIONS
from gnmt.errors import UserError
from gnmt.files.outputs import atomic_outputs
from gnmt.ranges import Range

SETTINGS = "prepare.json"
LENGTHS = "train.lengths.json"
LANGUAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
POSITIVE = Range(1)
EMBEDDING_SIZE = 256  # for small corpora: the hidden size of gnmt_v2_small
SMALL = 200_000  # maximum number of training pairs for which initial embeddings are computed by default


class Corpora(NamedTuple):
    """Files of a preparation."""

    train: List[PairFiles]
    valid: PairFiles
    test: PairFiles

    @property
    def paths(self) -> List[Path]:
        """Paths of all files."""
        return [path for corpus in (*self.train, self.valid, self.test) for path in corpus.paths]


@dataclass(frozen=True)
class Preparation:
    """Settings of a preparation.

    Args:
        source_language: such as "en".
        target_language: such as "fr".
        train: names of corpora without language, such as data/train for data/train.en and data/train.fr.
        valid: name of the validation corpus.
        test: name of the test corpus.
        segmentation: key of SEGMENTATIONS.
        vocab_size: number of tokens of the joint vocabulary.
        input_sentence_size: number of training sentences to learn subwords or characters from; None means 5,000,000.
        embedding_size: dimensions of the initial embeddings; 0 disables them, None computes them for small corpora only.
        cleaning: rules for training pairs.
        drop_duplicates: keep only the first of equal training pairs.
        model: model folder to fine-tune; its tokenizer and vocabulary are used.

    Raises:
        UserError: if a setting is invalid.
    """

    source_language: str
    target_language: str
    train: Tuple[str, ...]
    valid: str
    test: str
    segmentation: str = "subwords"
    vocab_size: int = 8000
    input_sentence_size: Optional[int] = None
    embedding_size: Optional[int] = None
    cleaning: CleaningRules = field(default_factory=CleaningRules)
    drop_duplicates: bool = False
    model: Optional[str] = None

    def __post_init__(self) -> None:
        _check_languages(*self.languages)
        if self.segmentation not in SEGMENTATIONS:
            *first, last = SEGMENTATIONS
            raise UserError(f"--segmentation is '{self.segmentation}', but must be {', '.join(first)} or {last}.")
        POSITIVE.check("vocab_size", self.vocab_size)
        if self.input_sentence_size is not None:
            POSITIVE.check("input_sentence_size", self.input_sentence_size)
            if self.segmentation not in ("subwords", "character"):
                raise UserError(
                    "--input-sentence-size is for subwords and characters; "
                    f"leave it out for --segmentation {self.segmentation}."
                )
        if self.embedding_size:
            SIZES.check("embedding_size", self.embedding_size)

    @property
    def languages(self) -> Tuple[str, str]:
        """Source and target language."""
        return self.source_language, self.target_language

    def find_corpora(self) -> Corpora:
        """Returns the files of all corpora.

        Raises:
            UserError: if a corpus has no files, or two corpora have the same files.
        """
        corpora = [find_pair_files(name, self.languages) for name in (*self.train, self.valid, self.test)]
        seen: Set[Path] = set()
        for path in (path.resolve() for corpus in corpora for path in corpus.paths):
            if path in seen:
                raise UserError(f"{path} is given twice: --train, --valid and --test need different text.")
            seen.add(path)
        return Corpora(corpora[:-2], *corpora[-2:])

    def embedding_size_for(self, pairs: int) -> int:
        """Returns the number of dimensions of the initial embeddings for a number of training pairs; 0 means none."""
        if self.embedding_size is not None:
            return self.embedding_size
        return EMBEDDING_SIZE if pairs <= SMALL else 0

    def options(self) -> Dict[str, str]:
        """Returns the settings by their names on the command line."""
        values = asdict(self)
        values.update(values.pop("cleaning"), train=" ".join(self.train))
        return {name.replace("_", "-").replace("language", "lang"): str(value) for name, value in values.items()}


def _check_languages(source: str, target: str) -> None:
    for option, language in (("--source-lang", source), ("--target-lang", target)):
        if not language:
            raise UserError(f"{option} is missing: it is the end of file names, such as en for corpus.en.")
        if not LANGUAGE.fullmatch(language):
            raise UserError(f"{option} is '{language}', but must be the end of a file name, such as en for corpus.en.")
    if source == target:
        raise UserError(f"--source-lang and --target-lang are both {source}, but must differ.")


def write_settings(path: Path, settings: Preparation) -> None:
    """Writes settings to a file.

    Args:
        path: file to write.
        settings: settings of the preparation.
    """
    with atomic_outputs([path], inputs=[], overwrite=True) as (file,):
        file.write(f"{json.dumps(asdict(settings), indent=2, ensure_ascii=False)}\n".encode("utf-8"))


def read_settings(path: Path) -> Preparation:
    """Returns the settings of a file.

    Raises:
        UserError: if the file is missing or damaged.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        content.update(train=tuple(content["train"]), cleaning=CleaningRules(**content["cleaning"]))
        return Preparation(**content)
    except FileNotFoundError as error:
        raise UserError(f"{path.parent} is not prepared: run `gnmt prepare --output {path.parent}` first.") from error
    except (ValueError, TypeError, KeyError, AttributeError, OSError) as error:
        raise UserError(f"{path} is damaged ({type(error).__name__}): run `gnmt prepare` with --overwrite.") from error


def read_lengths(folder: Path) -> List[int]:
    """Returns the distribution of lengths: element n is the number of training pairs with n tokens on the longer side.

    Raises:
        UserError: if the file of the lengths is missing or damaged.
    """
    path = folder / "encoded" / LENGTHS
    try:
        return [int(count) for count in json.loads(path.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{path} is missing or damaged: run `gnmt prepare` with --overwrite.") from error
