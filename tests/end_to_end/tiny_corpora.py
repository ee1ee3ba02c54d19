"""Two corpora that are learnt in seconds, binarised by fairseq-preprocess, and models trained on them.

`digits` is translated word by word and has names outside the dictionary; `sentences` is split by sentencepiece.
"""

import atexit
import functools
import random
import tempfile
from pathlib import Path
from typing import Dict, List, Tuple

import sentencepiece
from commands import PLUGIN, succeed
from corpus_mirror import sentence_pairs

DIGITS = dict(
    zip(
        "one two three four five six seven eight nine".split(),
        "eins zwei drei vier fünf sechs sieben acht neun".split(),
    )
)
VALID, TEST = 13, 5  # not multiples of 8: fairseq tends to drop incomplete batches
OBJECTIVE = "--optimizer gnmt_adam --clip-norm 5.0 --criterion gnmt_label_smoothed_cross_entropy".split()
TASK = ["--user-dir", PLUGIN, "--task", "gnmt_translation", "--cpu", "--num-workers", 0]
MODEL = "--arch gnmt_v2_tiny --no-progress-bar".split()
TO_TEXT = "--post-process sentencepiece --scoring gnmt_bleu".split()

Pairs = List[Tuple[str, str]]


@functools.cache
def scratch() -> Path:
    """Fixture: a folder for the test session."""
    folder = tempfile.TemporaryDirectory(prefix="gnmt-end-to-end-")
    atexit.register(folder.cleanup)
    return Path(folder.name)


def digit_pairs(count: int, seed: int) -> Pairs:
    """Returns numbers in English and German words; some words are replaced by names, each of which occurs once."""
    choose = random.Random(seed)
    pairs = []
    for number in range(count):
        words = choose.choices(list(DIGITS), k=choose.randint(2, 7))
        if number % 2:
            words[choose.randrange(len(words))] = f"Name{seed}x{number}"
        pairs.append((" ".join(words), " ".join(DIGITS.get(word, word) for word in words)))
    return pairs


def write(folder: Path, splits: Dict[str, Pairs]) -> Path:
    """Writes folder/<split>.{en,de}."""
    folder.mkdir(parents=True)
    for split, pairs in splits.items():
        for language, lines in zip(("en", "de"), zip(*pairs)):
            (folder / f"{split}.{language}").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return folder


def binarise(text: Path, vocabulary: List[str]) -> Path:
    """Returns the data folder for fairseq-train, with one dictionary for both languages."""
    (text / "dict.txt").write_text("".join(f"{word} 1\n" for word in vocabulary), encoding="utf-8")
    prefixes = [part for split in ("train", "valid", "test") for part in (f"--{split}pref", text / split)]
    binary = text.with_name(text.name + "-bin")
    succeed(
        "preprocess",
        "--source-lang",
        "en",
        "--target-lang",
        "de",
        "--joined-dictionary",
        "--srcdict",
        text / "dict.txt",
        *prefixes,
        "--destdir",
        binary,
    )
    return binary


@functools.cache
def digits() -> Path:
    splits = {"train": digit_pairs(300, seed=1), "valid": digit_pairs(VALID, seed=2), "test": digit_pairs(TEST, seed=3)}
    return binarise(write(scratch() / "digits", splits), [*DIGITS, *DIGITS.values()])


@functools.cache
def subword_model() -> Path:
    prefix = scratch() / "subwords"
    lines = (line for pair in sentence_pairs(100, seed=1) for line in pair)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=lines, model_prefix=prefix, vocab_size=140, model_type="bpe", minloglevel=2, num_threads=1
    )
    return prefix.with_suffix(".model")


@functools.cache
def sentences() -> Path:
    """Fixture: validation and test sets contain letters that training does not, so their references have unknown
    tokens.
    """
    subwords = sentencepiece.SentencePieceProcessor(model_file=str(subword_model()))
    splits = {"train": sentence_pairs(100, seed=1), "valid": sentence_pairs(VALID, 2), "test": sentence_pairs(TEST, 3)}
    for split in ("valid", "test"):
        splits[split] = [(en.replace("dog", "dôg"), de.replace("Haus", "Haußµ")) for en, de in splits[split]]
    pieces = {
        split: [tuple(" ".join(subwords.encode(s, out_type=str)) for s in pair) for pair in pairs]
        for split, pairs in splits.items()
    }
    vocabulary = [subwords.id_to_piece(index) for index in range(3, len(subwords))]
    return binarise(write(scratch() / "sentences", pieces), vocabulary)


@functools.cache
def trained_on_digits(seed: int = 1, attention_query: str = "current") -> Path:
    """Fixture: a checkpoint that makes few errors and attends to the word being translated."""
    folder = scratch() / f"digits-model-{seed}-{attention_query}"
    size = "--hidden-size 64 --encoder-layers 2 --decoder-layers 2 --dropout 0.1".split()
    size += ["--init-range", 0.3, "--embedding-init-range", 1.0, "--attention-query", attention_query]
    schedule = "--lr 6e-3 --lr-scheduler gnmt_warmup_step_decay --warmup-steps 30 --remain-steps 0.5".split()
    succeed(
        "train",
        digits(),
        *TASK,
        *MODEL,
        *size,
        *OBJECTIVE,
        *schedule,
        "--batch-size",
        12,
        "--max-update",
        500,
        "--seed",
        seed,
        "--save-dir",
        folder,
        "--no-epoch-checkpoints",
        "--disable-validation",
    )
    return folder / "checkpoint_last.pt"


@functools.cache
def trained_on_sentences() -> Path:
    """Fixture: a partly trained checkpoint on subwords, whose BLEU is neither 0 nor 100."""
    folder = scratch() / "sentences-model"
    size = "--hidden-size 64 --encoder-layers 2 --decoder-layers 2 --init-range 0.3 --dropout 0.1".split()
    succeed(
        "train",
        sentences(),
        *TASK,
        *MODEL,
        *size,
        *OBJECTIVE,
        "--lr",
        "6e-3",
        "--batch-size",
        8,
        "--max-epoch",
        8,
        "--save-dir",
        folder,
        "--no-last-checkpoints",
        "--disable-validation",
    )
    return folder / "checkpoint8.pt"
