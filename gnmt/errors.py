"""Errors that a user can correct."""


class UserError(ValueError):
    """Error that a user can correct: its message says what was given, what is allowed and what to do."""
