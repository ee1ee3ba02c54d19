"""Counts of the words and characters of a corpus."""

from collections import Counter
from itertools import chain
from pathlib import Path
from typing import Iterable, List, Mapping, Sequence, Tuple

from gnmt.errors import UserError
from gnmt.files.lines import check_files, count_lines, read_chunks, split_lines
from gnmt.files.process_pool import check_jobs, ordered_map
from gnmt.files.progress import progress_bar
from gnmt.tokenizers.word_tokenizer import split_words


def count_chunk(chunk: bytes) -> Tuple[int, "Counter[str]"]:
    """Returns the number of lines of a chunk, and the count of each word with its preceding space."""
    lines = split_lines(chunk)
    return len(lines), Counter(chain.from_iterable(map(split_words, lines)))


def count_words(paths: Sequence[Path], jobs: int) -> "Counter[str]":
    """Counts each word, with its preceding space, in all files together.

    Args:
        paths: text files, plain or compressed.
        jobs: number of processes.

    Raises:
        UserError: if the files contain no words.
    """
    check_jobs(jobs)
    check_files(paths)
    counts: Counter[str] = Counter()
    with progress_bar(total=sum(map(count_lines, paths)), name="counting", unit="lines") as progress:
        for lines, counted in ordered_map(count_chunk, chain.from_iterable(map(read_chunks, paths)), jobs):
            counts.update(counted)
            progress.update(lines)
    if not counts:
        raise UserError(f"{', '.join(map(str, paths))}: there is no text, only empty lines.")
    return counts


def count_characters(words: Mapping[str, int]) -> "Counter[str]":
    """Counts the characters of counted words; the preceding space of a word is not counted."""
    characters: Counter[str] = Counter()
    for word, count in words.items():
        for character in word.removeprefix(" "):
            characters[character] += count
    return characters


def by_frequency(counts: Mapping[str, int]) -> List[str]:
    """Returns the keys, most frequent first; ties are in character order."""
    return sorted(counts, key=lambda name: (-counts[name], name))


def most_frequent(counts: Mapping[str, int], share: float) -> List[str]:
    """Returns the smallest list of most frequent keys that makes up a share of the total.

    Args:
        counts: number of occurrences of each key.
        share: minimum sum of the counts, from 0 to 1 of the total.
    """
    remaining = share * sum(counts.values())
    kept: List[str] = []
    for name in by_frequency(counts):
        if remaining <= 0:
            break
        remaining -= counts[name]
        kept.append(name)
    return kept


def share_of(names: Iterable[str], counts: Mapping[str, int]) -> float:
    """Returns the share of all occurrences that `names` make up, from 0 to 1.

    Args:
        names: keys of `counts`.
        counts: number of occurrences of each key.
    """
    return sum(counts[name] for name in names) / max(sum(counts.values()), 1)
