"""Names of precisions that users choose, for stored weights and for decoding.

The type of a layer's arithmetic is in `network/product_precision.py`.
"""

from gnmt.errors import OptionError

PRECISIONS = ("fp32", "fp16", "bf16", "int8")
PRECISION_HELP = "precision of decoding (default: the model's); int8 needs a CPU, fp16 a GPU"


def check_precision(name: str) -> None:
    """Checks the name of a precision.

    Raises:
        UserError: if the name is not in `PRECISIONS`.
    """
    if name not in PRECISIONS:
        raise OptionError(f"--precision is {name!r}, but must be one of {', '.join(PRECISIONS)}.")
