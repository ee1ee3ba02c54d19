"""Options as dataclass fields, which declare default, range and help of an option for Python and the command line."""

import dataclasses
import math
from typing import Any, Optional, Type

from gnmt.errors import UserError

MAX_NUMBER = 2**32 - 1  # larger numbers do not fit into the integers of torch, numpy and fairseq
RANGE, HELP, DEFAULT = "range", "help", "default"  # keys in the metadata of a dataclass field


@dataclasses.dataclass(frozen=True)
class Range:
    """Range of finite numbers that an option accepts.

    Args:
        minimum: smallest accepted number.
        maximum: largest accepted number.
        above: accept only numbers above `minimum`.
        below: accept only numbers below `maximum`.
        off: 0 disables the option's effect and is accepted.
        hint: usual values, added to the error message.
    """

    minimum: float = 0
    maximum: float = MAX_NUMBER
    above: bool = False
    below: bool = False
    off: bool = False
    hint: str = ""

    def requirement(self, value: Any) -> Optional[str]:
        """Returns the condition that `value` violates; None if it is accepted."""
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return "a number"
        if not math.isfinite(value):
            return "a finite number"
        if value < self.minimum or (self.above and value == self.minimum):
            if self.off:
                return "0 (off) or above"
            return f"above {self.minimum}" if self.above else f"at least {self.minimum}"
        if value > self.maximum or (self.below and value == self.maximum):
            return f"below {self.maximum}" if self.below else f"at most {self.maximum}"
        return None

    def check(self, option: str, value: Any, error: Type[UserError] = UserError) -> None:
        """Checks the value of an option.

        Args:
            option: name with underscores.
            value: value to check.
            error: class of the error to raise.

        Raises:
            UserError: if the value is not accepted.
        """
        requirement = self.requirement(value)
        if requirement is not None:
            hint = f" ({self.hint})" if self.hint else ""
            raise error(f"--{option.replace('_', '-')} is {value!r}, but must be {requirement}{hint}.")


def option(default: Any, accepted: Optional[Range], description: str) -> Any:
    """Returns a field of a dataclass of options.

    Args:
        default: default value.
        accepted: range of accepted values; None if it is not a number.
        description: help text.
    """
    limits = {} if accepted is None else {RANGE: accepted}
    return dataclasses.field(default=default, metadata={**limits, HELP: description})


def check_ranges(config_class: type, config: Any, error: Type[UserError] = UserError) -> None:
    """Checks the numbers of a configuration against the ranges that its dataclass declares.

    Args:
        config_class: dataclass; the metadata of a field may contain its range under "range".
        config: any object with some of the fields as attributes; None and absent fields are not checked.
        error: class of the error to raise.

    Raises:
        UserError: for the first number that is outside its range, or is not an integer where the field is an int.
    """
    for option in dataclasses.fields(config_class):
        accepted, value = option.metadata.get(RANGE), getattr(config, option.name, None)
        if accepted is None or value is None:
            continue
        if option.type is int and not isinstance(value, int):
            raise error(f"--{option.name.replace('_', '-')} is {value!r}, but must be a whole number.")
        for number in [value] if isinstance(value, (int, float, str)) else value:
            accepted.check(option.name, number, error)
