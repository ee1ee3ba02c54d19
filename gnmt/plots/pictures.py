"""PNG pictures with matplotlib, from the extra `plots`."""

import io
from pathlib import Path
from typing import Sequence

import numpy as np

from gnmt.errors import UserError
from gnmt.extras import remedy

DOTS_PER_INCH = 150
MAX_SIDE_DOTS = 2**16 - 1  # maximum number of dots per side in matplotlib


def check_pictures(paths: Sequence[Path]) -> None:
    """Checks file names and matplotlib; call it before the work starts.

    Raises:
        UserError: if a path does not end in .png, or matplotlib is missing.
    """
    for path in paths:
        if path.suffix.lower() != ".png":
            raise UserError(f"{path} must end in .png: pictures are written as PNG.")
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise UserError(f"Pictures need matplotlib, which cannot be imported ({error}): {remedy('plots')}.") from error


def new_figure(width: float, height: float, layout: str = "none"):
    """Returns an empty matplotlib Figure.

    Args:
        width: inches.
        height: inches.
        layout: "constrained" arranges the contents automatically; "none" does not.
    """
    from matplotlib.figure import Figure  # not pyplot, which needs a display

    return Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout=layout)


def to_png(figure, cut_to_content: bool = False) -> bytes:
    """Returns the bytes of a PNG file; with `cut_to_content`, the bounds include labels outside the figure."""
    file = io.BytesIO()
    figure.savefig(file, format="png", bbox_inches="tight" if cut_to_content else None)
    return file.getvalue()


def below_each_other(pictures: Sequence[bytes]) -> bytes:
    """Returns one PNG with all pictures in a column, aligned at the left.

    Raises:
        UserError: if it would be too high.
    """
    from matplotlib.image import imread, imsave

    pixels = [imread(io.BytesIO(picture)) for picture in pictures]  # (height, width, 4), from 0 to 1
    height = sum(len(rows) for rows in pixels)
    if height > MAX_SIDE_DOTS:
        raise UserError(
            f"{len(pictures)} pictures are {height} dots high together, but a page has at most {MAX_SIDE_DOTS}: "
            "give fewer sentences, or --output-dir for a picture of each."
        )
    page = np.ones((height, max(rows.shape[1] for rows in pixels), 4), dtype=np.float32)
    top = 0
    for rows in pixels:
        page[top : top + len(rows), : rows.shape[1]] = rows
        top += len(rows)
    file = io.BytesIO()
    imsave(file, page, format="png", dpi=DOTS_PER_INCH)
    return file.getvalue()
