"""Detection of repetitive translations, which indicate a failed search."""

from typing import Sequence

MAX_PHRASE_LENGTH = 6  # maximum number of tokens of a phrase
TIMES = 3  # consecutive occurrences that count as a repetition
TIMES_OF_ONE_TOKEN = 4  # "ha ha ha" and "..." are ordinary


def most_in_a_row(tokens: Sequence[str], size: int) -> int:
    """Returns the maximum number of consecutive occurrences of a phrase of `size` tokens; 0 for shorter texts."""
    maximum = 1 if len(tokens) >= size else 0
    equal = 0  # consecutive tokens that equal the token `size` positions before
    for position in range(size, len(tokens)):
        equal = equal + 1 if tokens[position] == tokens[position - size] else 0
        maximum = max(maximum, 1 + equal // size)
    return maximum


def is_repetitive(source: Sequence[str], target: Sequence[str]) -> bool:
    """Returns True if the target repeats a phrase too often in a row, and more often than the source repeats one.

    Args:
        source: source tokens.
        target: target tokens.
    """
    for size in range(1, MAX_PHRASE_LENGTH + 1):
        allowed = max(TIMES_OF_ONE_TOKEN if size == 1 else TIMES, most_in_a_row(source, size) + 1)
        if most_in_a_row(target, size) >= allowed:
            return True
    return False
