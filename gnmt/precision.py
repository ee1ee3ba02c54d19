"""Names of the arithmetic that weights are stored in and that a translation is computed in."""

from gnmt.errors import UserError

PRECISIONS = ("fp32", "fp16", "bf16", "int8")


def check_precision(name: str) -> None:
    """Raises UserError for a name that is none of `PRECISIONS`."""
    if name not in PRECISIONS:
        raise UserError(f"precision is {name!r}, but must be one of {', '.join(PRECISIONS)}.")
