"""Progress of a training run: the lines of fairseq-train's log that a user needs, in a short form.

update 200 of 4,540: perplexity 61.3, 8.1 updates/s, 0:08:56 left
epoch 1 (valid): perplexity 21.4, BLEU 14.2
"""

import datetime
import re
import time
from typing import Callable, List, Optional

from gnmt.training.training_log import INNER, TRAIN, Record, parse_line

# 2026-01-02 03:04:05 | INFO | fairseq.trainer | begin training epoch 1
LOG_LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:,\d+)? \| (\w+) \| ([\w.]+) \| ")
ROUTINE = ("DEBUG", "INFO")  # levels of messages without a warning
PLUGIN = "fairseq_gnmt"
INTERVAL = 10.0  # minimum seconds between two lines about updates


class TrainingProgress:
    """Shortens the lines of a log, one after the other.

    Statistics are shortened, warnings and messages of the plugin are kept, and other lines are left out.

    Args:
        updates: number of updates of the whole training; None if unknown.
        clock: returns the time in seconds.
    """

    def __init__(self, updates: Optional[int], clock: Callable[[], float] = time.monotonic) -> None:
        self._updates = updates
        self._clock = clock
        self._first: Optional[Record] = None  # of this run, which may resume a training run
        self._first_time = self._last_time = 0.0
        self._keeps_message = False  # a message may have several lines

    def shorten(self, line: str) -> Optional[str]:
        """Returns the text to show for a line of the log, or None."""
        record = parse_line(line)
        if record is not None:
            self._keeps_message = False
            return self._update(record) if record.kind == INNER else _validation(record)
        if match := LOG_LINE.match(line):
            level, logger = match.groups()
            self._keeps_message = level not in ROUTINE or logger.partition(".")[0] == PLUGIN
            line = line[match.end() :] if level in ROUTINE else f"{level.lower()}: {line[match.end() :]}"
        return line if self._keeps_message else None

    def _update(self, record: Record) -> Optional[str]:
        now = self._clock()
        if self._first is None:
            self._first, self._first_time = record, now
        elif now - self._last_time < INTERVAL and record.updates != self._updates:
            return None
        self._last_time = now
        elapsed, done = now - self._first_time, record.updates - self._first.updates
        speed = done / elapsed if elapsed > 0 and done > 0 else record.stats.get("ups", 0.0)
        parts = _quality(record)
        if speed > 0:
            parts.append(f"{_short(speed, 2)} updates/s")
        total = ""
        if self._updates is not None:
            total = f" of {self._updates:,}"
            if speed > 0:
                time_left = datetime.timedelta(seconds=round(max(0, self._updates - record.updates) / speed))
                parts.append(f"{time_left} left")
        return f"update {record.updates:,}{total}: {', '.join(parts)}"


def _validation(record: Record) -> Optional[str]:
    """Returns the results of a validation; None for the statistics of an epoch of training."""
    if record.kind == TRAIN:
        return None
    parts = _quality(record)
    parts += [f"BLEU {record.stats['bleu']:.2f}"] if "bleu" in record.stats else []
    return f"epoch {record.epochs:.3g} ({record.kind}): {', '.join(parts)}"


def _quality(record: Record) -> List[str]:
    """Returns the perplexity, and in refinement the mean reward of the samples."""
    parts = [f"perplexity {_short(record.stats['ppl'], 4)}"] if "ppl" in record.stats else []
    return parts + ([f"reward {record.stats['reward']:.4f}"] if "reward" in record.stats else [])


def _short(value: float, digits: int) -> str:
    """Returns a number with `digits` significant digits, or as an integer if it has more."""
    # At half of 10^digits, because "g" rounds 99.6 to 1e+02.
    return f"{value:.{digits}g}" if value < 10**digits / 2 else f"{value:,.0f}"
