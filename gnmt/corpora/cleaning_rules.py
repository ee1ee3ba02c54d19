"""Rules for sentence pairs that are suitable for training.

The defaults are the limits of NVIDIA's GNMT recipe (Moses clean-corpus-n: 1 to 80 tokens, ratio 9). The recipe also
requires that latin-1 can encode both sides, which removes text in other scripts.
"""

import math
import re
from dataclasses import dataclass
from typing import Optional

from gnmt.errors import UserError

# A pair is counted under the first reason that applies.
REASONS = ("empty", "too_short", "too_long", "ratio", "encoding", "duplicate")

CONTROL_CHARACTERS = re.compile("[\x00-\x1f\x7f-\x9f]")  # Unicode category Cc
ENCODING_PROBE = "a" * 100


@dataclass(frozen=True)
class CleaningRules:
    """Conditions on a pair; values equal to a limit are accepted."""

    min_length: int = 1  # tokens, on each side
    max_length: int = 80  # tokens, on each side
    max_ratio: float = 9.0  # tokens of the longer side / tokens of the shorter side
    required_encoding: Optional[str] = None  # codec that must be able to encode both sides

    def __post_init__(self) -> None:
        if self.min_length < 1:
            raise UserError(f"--min-length is {self.min_length}, but empty lines cannot be kept: use 1 or more.")
        if self.max_length < self.min_length:
            raise UserError(
                f"--max-length {self.max_length} is below --min-length {self.min_length}: nothing could be kept."
            )
        if not 1 <= self.max_ratio < math.inf:
            raise UserError(f"--max-ratio is {self.max_ratio}, but longer / shorter is at least 1: use 1 or more.")
        if self.required_encoding is not None:
            try:
                ENCODING_PROBE.encode(self.required_encoding)
            except (LookupError, UnicodeError) as error:  # undefined and idna are codecs, but cannot encode sentences
                raise UserError(
                    f"--require-encoding {self.required_encoding} is not a text encoding of Python: "
                    f"use for example latin-1."
                ) from error


def normalise_spaces(line: str) -> str:
    """Replaces every run of white space (as in Unicode) and control characters by one space, and strips both ends."""
    return " ".join(CONTROL_CHARACTERS.sub(" ", line).split())


def clean_pair(source: str, target: str, rules: CleaningRules) -> Optional[str]:
    """Returns the first of REASONS to drop a pair of lines with normalised spaces; None to keep it.

    Args:
        source: source line.
        target: target line.
        rules: rules for kept pairs.
    """
    shorter, longer = sorted((len(source.split()), len(target.split())))
    if shorter == 0:
        return "empty"
    if shorter < rules.min_length:
        return "too_short"
    if longer > rules.max_length:
        return "too_long"
    if longer > rules.max_ratio * shorter:
        return "ratio"
    if rules.required_encoding is not None:
        try:
            (source + target).encode(rules.required_encoding)
        except UnicodeEncodeError:
            return "encoding"
    return None
