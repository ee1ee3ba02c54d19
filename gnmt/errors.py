"""Errors that users can correct."""

import re

CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


class UserError(ValueError):
    """Error that a user can correct: its message names the given value, the allowed values and the remedy."""


def one_line(message: object) -> str:
    """Returns a message as one line: quoted names may contain line breaks and control characters."""
    return CONTROL_CHARACTERS.sub(" ", str(message)).strip()
