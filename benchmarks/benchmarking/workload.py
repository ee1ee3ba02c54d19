"""Workload of the contenders: batches of sentence pairs, synthetic or from binarised data.

A sentence is a list of fairseq's token ids (0 BOS, 1 PAD, 2 EOS, 3 UNK, words from 4) without BOS and EOS, which every
contender adds by its own convention. Lengths include EOS.
"""

import random
from pathlib import Path
from typing import List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
from fairseq.data import Dictionary
from fairseq.data.data_utils import load_indexed_dataset

from gnmt.errors import UserError

Sentence = List[int]


class Batch(NamedTuple):
    """Sentence pairs, longest source first."""

    numbers: List[int]  # of the sentences in their data set
    sources: List[Sentence]
    targets: List[Sentence]

    @property
    def source_tokens(self) -> int:
        return sum(len(source) + 1 for source in self.sources)

    @property
    def target_tokens(self) -> int:
        return sum(len(target) + 1 for target in self.targets)

    @property
    def longest_target(self) -> int:
        return max(len(target) + 1 for target in self.targets)


def make_dictionary(size: int) -> Dictionary:
    """Returns a dictionary of `size` entries, including four special tokens. Raises UserError if it has no words."""
    dictionary = Dictionary()
    if size <= dictionary.nspecial:
        raise UserError(
            f"--vocabulary is {size}, but must be above {dictionary.nspecial}, the number of special tokens."
        )
    for index in range(size - dictionary.nspecial):
        dictionary.add_symbol(f"w{index}")
    return dictionary


def synthetic_batches(
    vocabulary: int, count: int, sentences: int, source_length: int, target_length: int, seed: int
) -> List[Batch]:
    """Returns batches of random words; all sources and all targets have one length, including EOS.

    Args:
        vocabulary: size of the dictionary.
        count: number of batches.
        sentences: sentences of a batch.
        source_length: tokens of a source.
        target_length: tokens of a target.
        seed: seed of the words.
    """
    for name, length in (("--source-length", source_length), ("--target-length", target_length)):
        if length < 2:
            raise UserError(f"{name} is {length}, but must be at least 2: a word and EOS.")
    draw = random.Random(seed)
    first_word = Dictionary().nspecial

    def sentence(length: int) -> Sentence:
        return [draw.randrange(first_word, vocabulary) for _ in range(length - 1)]

    return [
        Batch(
            list(range(index * sentences, (index + 1) * sentences)),
            [sentence(source_length) for _ in range(sentences)],
            [sentence(target_length) for _ in range(sentences)],
        )
        for index in range(count)
    ]


def load_dictionary(data: Path, language: str) -> Dictionary:
    path = data / f"dict.{language}.txt"
    if not path.is_file():
        raise UserError(
            f"{path} does not exist: --data must name a folder of fairseq-preprocess, with the languages given."
        )
    return Dictionary.load(str(path))


def load_pairs(data: Path, split: str, languages: Tuple[str, str]) -> List[Tuple[Sentence, Sentence]]:
    """Returns the pairs of a split of fairseq-preprocess. Raises UserError if the split is missing.

    Args:
        data: folder of fairseq-preprocess.
        split: name of the split, such as "test".
        languages: source and target language.
    """
    source, target = languages
    sides = []
    for language in languages:
        path = data / f"{split}.{source}-{target}.{language}"
        dataset = load_indexed_dataset(str(path), load_dictionary(data, language))
        if dataset is None:
            raise UserError(f"{path}.idx does not exist: fairseq-preprocess writes it for each split that it is given.")
        sides.append([dataset[index].tolist()[:-1] for index in range(len(dataset))])  # without EOS
    return list(zip(*sides))


def real_batches(pairs: Sequence[Tuple[Sentence, Sentence]], sentences: int, count: Optional[int]) -> List[Batch]:
    """Returns batches of consecutive pairs in fairseq's order: by source length, and within it by target length.

    Args:
        pairs: sentence pairs.
        sentences: number of pairs in a batch.
        count: number of full batches, evenly spaced from the shortest to the longest; None means all batches.
    """
    order = np.arange(len(pairs))
    for side in (1, 0):
        order = order[np.argsort([len(pairs[index][side]) for index in order], kind="mergesort")]
    batches = [_batch(pairs, order[start : start + sentences]) for start in range(0, len(order), sentences)]
    if count is None:
        return batches
    full_batches = [batch for batch in batches if len(batch.sources) == sentences]
    if count > len(full_batches):
        raise UserError(f"--batches is {count}, but the data has {len(full_batches)} batches of {sentences} sentences.")
    return [
        full_batches[(2 * position + 1) * len(full_batches) // (2 * count)] for position in range(count)
    ]  # the middle of each share


def _batch(pairs: Sequence[Tuple[Sentence, Sentence]], indices: np.ndarray) -> Batch:
    longest_first = sorted(indices.tolist(), key=lambda index: -len(pairs[index][0]))
    sources, targets = zip(*(pairs[index] for index in longest_first))
    return Batch(longest_first, list(sources), list(targets))
