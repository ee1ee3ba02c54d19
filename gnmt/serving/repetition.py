"""A sign of a search that has gone wrong: a translation that says the same thing over and over."""

from typing import Sequence

LONGEST = 6  # tokens of a phrase
TIMES = 3  # in a row, that count as a repetition
TIMES_OF_ONE_TOKEN = 4  # "ha ha ha" and "..." are ordinary


def most_in_a_row(tokens: Sequence[str], size: int) -> int:
    """Returns the largest number of times that a phrase of `size` tokens occurs in a row; 0 for fewer tokens."""
    most = 1 if len(tokens) >= size else 0
    equal = 0  # tokens in a row that equal the one `size` before
    for position in range(size, len(tokens)):
        equal = equal + 1 if tokens[position] == tokens[position - size] else 0
        most = max(most, 1 + equal // size)
    return most


def is_repetitive(source: Sequence[str], target: Sequence[str]) -> bool:
    """True if a phrase occurs too often in a row in the target, and more often than one does in the source.

    Args:
        source: source tokens.
        target: target tokens.
    """
    for size in range(1, LONGEST + 1):
        allowed = max(TIMES_OF_ONE_TOKEN if size == 1 else TIMES, most_in_a_row(source, size) + 1)
        if most_in_a_row(target, size) >= allowed:
            return True
    return False
