"""Errors that a user can correct."""

import re

CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


class UserError(ValueError):
    """Error that a user can correct: its message says what was given, what is allowed and what to do."""


def one_line(message: object) -> str:
    """Returns a message as one line: names that it quotes may have line breaks and control characters."""
    return CONTROL_CHARACTERS.sub(" ", str(message)).strip()
