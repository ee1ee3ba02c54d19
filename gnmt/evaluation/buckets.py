"""Buckets of sentences by length and of words by frequency, and scores of words."""

from bisect import bisect_right
from collections import Counter
from itertools import pairwise
from typing import Dict, List, NamedTuple, Sequence, Tuple

LENGTHS = (0, 11, 21, 31, 41, 61)  # smallest number of words of each bucket
FREQUENCIES = (0, 1, 2, 5, 10, 100, 1000)  # smallest number of occurrences of each bucket


class WordScore(NamedTuple):
    """Counts of matched words of a bucket; a word matches as often as it occurs in both texts."""

    matched: int
    produced: int  # in the hypotheses
    expected: int  # in the references

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall, from 0 to 100; 0 if there are no words."""
        words = self.produced + self.expected
        return 200 * self.matched / words if words else 0.0

    @property
    def recall(self) -> float:
        """Share of the expected words that are matched, from 0 to 100; 0 if no words are expected."""
        return 100 * self.matched / self.expected if self.expected else 0.0


def bucket_of(value: int, starts: Sequence[int]) -> int:
    """Returns the index of the last start that is less than or equal to the value.

    Args:
        value: number of words or of occurrences.
        starts: smallest value of each bucket, ascending, from 0.
    """
    return bisect_right(starts, value) - 1


def labels(starts: Sequence[int]) -> List[str]:
    """Returns a name for each bucket, such as "11-20" and "61 or more"."""
    names = [
        str(start) if following == start + 1 else f"{start}-{following - 1}" for start, following in pairwise(starts)
    ]
    return [*names, f"{starts[-1]} or more"]


def by_length(lengths: Sequence[int]) -> List[Tuple[str, List[int]]]:
    """Returns the name of each non-empty bucket and the indices of its sentences."""
    members: List[List[int]] = [[] for _ in LENGTHS]
    for index, length in enumerate(lengths):
        members[bucket_of(length, LENGTHS)].append(index)
    return [(name, indices) for name, indices in zip(labels(LENGTHS), members) if indices]


def by_frequency(
    hypotheses: Sequence[Sequence[str]], references: Sequence[Sequence[str]], counts: Dict[str, int]
) -> List[Tuple[str, WordScore]]:
    """Returns the name and score of each bucket of words, including empty buckets.

    Args:
        hypotheses: words of each sentence.
        references: words of each sentence.
        counts: frequency of each word; words that are absent have 0.
    """
    totals = [[0, 0, 0] for _ in FREQUENCIES]
    for produced, expected in zip(map(Counter, hypotheses), map(Counter, references), strict=True):
        for word in produced | expected:
            total = totals[bucket_of(counts.get(word, 0), FREQUENCIES)]
            total[0] += min(produced[word], expected[word])
            total[1] += produced[word]
            total[2] += expected[word]
    return [(name, WordScore(*total)) for name, total in zip(labels(FREQUENCIES), totals)]
