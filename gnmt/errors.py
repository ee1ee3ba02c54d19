"""Errors that users can correct."""

import re

OPTION = re.compile(r"(?<!\S)--([a-z][a-z0-9-]*)")
CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


class UserError(ValueError):
    """Error that a user can correct: its message names the given value, the allowed values and the remedy."""

    @property
    def on_command_line(self) -> str:
        """The message for users of a command."""
        return str(self)


class OptionError(UserError):
    """Error in the value of an option, such as length_norm_factor in Python and --length-norm-factor for a command.

    Args:
        message: message that names options as on the command line; `str` names them as in Python.
    """

    def __str__(self) -> str:
        return OPTION.sub(lambda match: match[1].replace("-", "_"), self.on_command_line)

    @property
    def on_command_line(self) -> str:
        """The message for users of a command, which names options as on the command line."""
        return super().__str__()


def one_line(message: object) -> str:
    """Returns a message as one line: quoted names may contain line breaks and control characters."""
    return CONTROL_CHARACTERS.sub(" ", str(message)).strip()
