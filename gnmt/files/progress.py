"""Progress bars of long steps on stderr."""

import sys
from typing import Any, Iterable, Optional

from tqdm import tqdm

SECONDS_BEFORE = 1  # shorter steps have no bar
SECONDS_IN_A_LOG = 10  # between two progress lines if stderr is not a terminal
SMOOTHING = 0.05  # of the speed; results of batches arrive in bursts


def progress_bar(
    items: Optional[Iterable[Any]] = None,
    *,
    total: Optional[int],
    unit: str,
    name: Optional[str] = None,
    done: int = 0,
    is_shown: bool = True,
) -> tqdm:
    """Returns a progress bar with the time left; it appears only if the step takes more than a second.

    Args:
        items: items to iterate over; None if the caller updates the bar.
        total: number of units of the whole step; None if it is not known.
        unit: name of the unit, such as "lines"; "B" for bytes.
        name: name of the step.
        done: number of units of an earlier run; they are not used for the speed.
        is_shown: False never shows the bar.
    """
    is_terminal = sys.stderr is not None and sys.stderr.isatty()
    return tqdm(
        items,
        desc=name,
        initial=done,
        total=total,
        unit=unit if unit == "B" else f" {unit}",
        unit_scale=True,
        delay=SECONDS_BEFORE,
        mininterval=0.1 if is_terminal else SECONDS_IN_A_LOG,
        smoothing=SMOOTHING,
        dynamic_ncols=True,
        disable=not is_shown,
    )
