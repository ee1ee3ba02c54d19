"""Ratings on disk: an append-only log.

A rating is forced to the disk (fsync) before `append` returns. A crash can leave one incomplete line at the end, for a
rating that was never acknowledged. This line is removed when the log is opened again. Of several ratings of one output
by one rater, the last one counts.
"""

import json
import os
import threading
from pathlib import Path
from typing import Dict, Iterable, List, NamedTuple, Tuple

from gnmt.errors import UserError
from gnmt.evaluation.rating.campaign import CAMPAIGN, RATINGS, Campaign
from gnmt.evaluation.rating.scale import SCORES
from gnmt.files import json_objects

Place = Tuple[str, str, int]  # rater, item, output


class Rating(NamedTuple):
    """Score that a rater has given to an output."""

    rater: str
    item: str
    output: int  # index in the campaign
    position: int  # on the rater's page
    score: int
    milliseconds: int  # from the display of the item to the rating
    time: str  # ISO 8601, UTC

    @property
    def place(self) -> Place:
        """Rater, item and output; a rating replaces an earlier one with equal values."""
        return self.rater, self.item, self.output


class RatingLog:
    """The log of a campaign, open for appending; safe to use from several threads, but not from several processes."""

    def __init__(self, path: Path):
        """Opens or creates the log, and removes an incomplete line at its end. Raises UserError if it is damaged."""
        self._lock = threading.Lock()
        self._file = open(path, "ab", buffering=0)
        try:
            self._file.truncate(_complete_size(path))
            _synchronise_folder(path.parent)
            self.ratings = latest(read_ratings(path))
        except BaseException:
            self._file.close()
            raise

    def append(self, rating: Rating) -> None:
        """Writes a rating to the disk. Raises OSError and leaves the log unchanged if the rating cannot be written."""
        line = (json.dumps(rating._asdict(), ensure_ascii=False) + "\n").encode("utf-8")
        with self._lock:
            size = os.fstat(self._file.fileno()).st_size
            try:
                written = self._file.write(line)
                if written != len(line):
                    raise OSError(f"{written} of {len(line)} bytes were written")
                os.fsync(self._file.fileno())
            except OSError:
                self._file.truncate(size)
                raise
            self.ratings[rating.place] = rating

    def of_rater(self, rater: str) -> Dict[Tuple[str, int], int]:
        """Returns the scores of a rater by item and output."""
        with self._lock:
            return {
                (item, output): rating.score for (name, item, output), rating in self.ratings.items() if name == rater
            }

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def read_ratings(path: Path) -> List[Rating]:
    """Returns all ratings of a log in order, without an incomplete line at its end; an empty list if it does not exist.

    Raises:
        UserError: if a line is not a rating.
    """
    if not path.exists():
        return []
    ratings = []
    *lines, _ = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines, start=1):
        try:
            rating = Rating(**json_objects.parse(line))
            if rating.score not in SCORES or any(map(_is_not, rating, Rating.__annotations__.values())):
                raise ValueError(f"a value is out of place in {tuple(rating)}")
        except (ValueError, TypeError, RecursionError) as error:
            raise UserError(
                f"{path}, line {number} is not a rating ({error}): restore the file from a copy."
            ) from error
        ratings.append(rating)
    return ratings


def ratings_of(folder: Path, campaign: Campaign) -> List[Rating]:
    """Reads the ratings of a campaign.

    Args:
        folder: folder of the campaign.
        campaign: content of the folder.

    Raises:
        UserError: if the ratings are damaged, or belong to another campaign.
    """
    path = folder / RATINGS
    ratings = read_ratings(path)
    places = {(item.id, output) for item in campaign.items for output in range(len(item.outputs))}
    for rating in ratings:
        if (rating.item, rating.output) not in places:
            raise UserError(
                f"{path} has output {rating.output} of item {rating.item}, which {CAMPAIGN} in its directory lacks: "
                "put the files of one campaign into one folder."
            )
    return ratings


def latest(ratings: Iterable[Rating]) -> Dict[Place, Rating]:
    """Returns the last rating of each output by each rater."""
    return {rating.place: rating for rating in ratings}


def _is_not(value: object, kind: type) -> bool:
    return type(value) is not kind  # True is an int too


def _complete_size(path: Path) -> int:
    """Returns the number of bytes up to the end of the last complete line."""
    content = path.read_bytes()
    return content.rfind(b"\n") + 1


def _synchronise_folder(folder: Path) -> None:
    """Forces the directory entry of a new file to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
