"""Logs of fairseq-train in --log-format simple or json: a file of --log-file, or the output of the command.

A log may contain an interrupted and resumed training; repeated updates count once.
"""

import json
import math
import re
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, NamedTuple, Optional, Tuple

from gnmt.errors import UserError
from gnmt.files.lines import read_lines

INNER, TRAIN = "train_inner", "train"  # fairseq's names: statistics since the previous record; statistics of the epoch

# epoch 001:    100 / 907 loss=176.941, nll_loss=9.939, ..., num_updates=100, lr=0.004
INNER_LINE = re.compile(r"epoch (\d{1,18}): +(\d{1,18}) / ([1-9]\d{0,17}) (\w+=.*)")
# epoch 001 | valid on 'valid' subset | loss 95.235 | ... | num_updates 907; without the subset for training
SUMMARY_LINE = re.compile(r"epoch (\d{1,18}) \| (?:valid on '([^']+)' subset \| )?(\w+ \S+(?: \| \w+ \S+)*)\s*$")
JSON_MARK = '{"epoch": '


class Record(NamedTuple):
    """Statistics in one line of a log."""

    kind: str  # INNER, TRAIN or the name of a validation set
    updates: int
    epochs: float  # progress in epochs, such as 1.25
    stats: Dict[str, float]


def read_log(path: Path) -> List[Record]:
    """Returns the records of a log in the order of updates.

    Raises:
        UserError: if the log has no records or is not text.
    """
    records = [record for line in read_lines(path) if (record := parse_line(line))]
    if not records:
        raise UserError(
            f"{path} has no figures of fairseq-train: give its --log-file, or its output, in --log-format simple or "
            "json. With --no-progress-bar it prints figures only if --log-format is given."
        )
    return place_in_epochs(without_repetitions(records))


def parse_line(line: str) -> Optional[Record]:
    """Returns the record of a line; None for other and incomplete lines. A summary is placed at the end of its epoch."""
    if JSON_MARK in line:
        return _parse_json(line[line.index(JSON_MARK) :])
    if match := INNER_LINE.search(line):
        epoch, done, size, stats = match.groups()
        pairs = (_cut(pair, "=") for pair in stats.split(", ") if "=" in pair)
        return _record(INNER, int(epoch) - 1 + int(done) / int(size), pairs)
    if match := SUMMARY_LINE.search(line):
        epoch, subset, stats = match.groups()
        return _record(subset or TRAIN, float(epoch), (_cut(pair, " ") for pair in stats.split(" | ")))
    return None


def _cut(pair: str, mark: str) -> Tuple[str, str]:
    """Returns the name and the value of a statistic, which are separated by `mark`."""
    name, _, value = pair.partition(mark)
    return name, value


def _parse_json(text: str) -> Optional[Record]:
    """Parses a JSON record; names in a summary begin with "train_" or with the name of the validation set."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if "update" in content:
        return _record(INNER, content["update"], content.items())
    counter = next((name for name in content if name.endswith("_num_updates")), None)
    if counter is None:
        return None
    prefix = counter.removesuffix("num_updates")
    pairs = ((name.removeprefix(prefix), value) for name, value in content.items())
    return _record(prefix.removesuffix("_"), content["epoch"], pairs)


def _record(kind: str, epochs: Any, pairs: Iterable[Tuple[str, str]]) -> Optional[Record]:
    stats = dict(_numbers(pairs))
    place = [stats.get("num_updates", math.nan), dict(_numbers([("epochs", epochs)])).get("epochs", math.nan)]
    if not all(map(math.isfinite, place)):
        return None
    if "nll_loss" not in stats and "ppl" in stats and "loss" in stats:
        stats["nll_loss"] = stats["loss"]  # fairseq's cross_entropy logs them once, because they are equal
    return Record(kind, int(place[0]), place[1], stats)


def _numbers(pairs: Iterable[Tuple[str, str]]) -> Iterator[Tuple[str, float]]:
    for name, value in pairs:
        try:
            yield name, float(value)
        except (TypeError, ValueError, OverflowError):  # fairseq may log values that are not numbers
            continue


def without_repetitions(records: Iterable[Record]) -> List[Record]:
    """Removes the records that a resumed training run repeats after going back to its checkpoint.

    fairseq also writes equal copies of a record to its --log-file, one for each earlier epoch.
    """
    kept: List[Record] = []
    for record in records:
        while kept and kept[-1].updates > record.updates:
            kept.pop()
        kept.append(record)
    return list({(record.kind, record.updates): record for record in kept}.values())


def place_in_epochs(records: List[Record]) -> List[Record]:
    """Corrects the epochs of summaries of incomplete epochs, from the updates per epoch of other records."""
    inner = [record for record in records if record.kind == INNER and record.updates]
    placed = []
    nearest = inner[0] if inner else None
    for record in records:
        if record.kind == INNER:
            nearest = record if record.updates else nearest
        elif nearest is not None:
            epochs = record.updates * nearest.epochs / nearest.updates
            record = record._replace(epochs=min(record.epochs, epochs))
        placed.append(record)
    return placed
